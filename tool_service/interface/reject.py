"""How a tool refuses, and how it fails in words of its own."""


class Reject(Exception):
    """Fails the call now and stops the turn: decoding more of it is useless. The model reads the message."""


class ToolError(Exception):
    """Fails the call with this sentence, and does not stop the turn. The model reads the message and nothing else.

    Of any other exception it reads the type, too.
    """
