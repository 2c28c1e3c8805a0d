"""How a tool refuses."""


class Reject(Exception):
    """Fails the call now and stops the turn: decoding more of it is useless. The model reads the message."""
