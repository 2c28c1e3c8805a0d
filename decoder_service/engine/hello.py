"""What an engine's process says first."""

from dataclasses import dataclass

from decoder_service.text.model_text import ModelText


@dataclass(frozen=True, slots=True)
class Hello:
    """Of the engine and its model. `context`: most tokens of a sequence; `dtype`: of weights and activations."""

    name: str
    context: int
    dtype: str
    text: ModelText
