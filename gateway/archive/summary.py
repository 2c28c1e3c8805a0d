"""A completion in a few lines."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Summary:
    """A completion in a few lines. `begun_at`: seconds since 1970. `state`: running, finished or failed. `cut`: whether
    something is missing of its events, because there was too much."""

    id: str
    begun_at: float = 0.0
    state: str = "finished"
    prompt: str = ""
    mode: str = "partial"
    tools: tuple[str, ...] = ()
    finish_reason: str | None = None
    error: dict[str, str] | None = None
    ledger: dict[str, Any] | None = None
    cut: bool = False

    def to_json(self) -> dict[str, Any]:
        """By name."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**data, "tools": list(self.tools)}

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """The other way round; another version's may have more or less. Raises ValueError where it is none."""
        return _SUMMARY.validate_json(text)


_SUMMARY = TypeAdapter(Summary)
