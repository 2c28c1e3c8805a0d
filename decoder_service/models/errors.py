"""What can be wrong with a model.

ModelError
├── ModelNotFoundError      there is none under this name, or it cannot be had
├── DamagedModelError       its file is not what it should be
└── UnsupportedModelError   it is there, and cannot be served
"""


class ModelError(Exception):
    """Base of what follows; the message says what to do."""


class ModelNotFoundError(ModelError):
    """No model is to be had under this name."""


class NoRoomError(ModelError):
    """There is too little room on the disk."""


class DamagedModelError(ModelError):
    """A file of the model is cut, changed, or of another kind."""


class UnsupportedModelError(ModelError):
    """The model cannot be served."""
