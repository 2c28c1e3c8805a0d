"""A grammar as it is written, on its way to the engine, which compiles it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class GrammarText:
    """`kind`: "lark" for a Lark grammar in llguidance's dialect; "json_schema" for a JSON schema, whose sentences are
    compact JSON."""

    kind: Literal["lark", "json_schema"]
    text: str
