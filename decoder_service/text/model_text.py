"""What the text side knows of a model: all that its tokenizer and its files say of text, and nothing of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class ModelText:
    """`template`: the chat template, Jinja; empty where the model has none. `named_tokens` are those that a template
    may ask for by name (`eos_token`). `control_tokens`: every token that is no text, the longest first.
    """

    tokenizer: Tokenizer
    template: str
    named_tokens: Mapping[str, str]
    control_tokens: tuple[str, ...]
