"""How a tool refuses."""


class Reject(Exception):  # noqa: N818 - the authors' verb, not an error's name: `raise Reject("why")`
    """Fails the call now and stops the turn: decoding more of it is useless. The model reads the message."""
