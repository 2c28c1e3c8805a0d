"""What `search` can be told."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

_CONTRADICTORY = (("folder", "index"), ("folder", "url"), ("index", "url"), ("engine", "url"))


class SearchSettings(BaseModel):
    """Settings of `search`: `[tools.search]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = Field("", description="documents that `search` reads; empty: this project's documentation")
    index: str = Field("", description="a folder made by `conveyor index`, in place of documents")
    url: str = Field("", description="a search engine that answers in JSON as SearXNG does, in place of documents")
    engine: Literal["", "fts5", "tantivy"] = Field(
        "", description="fts5 or tantivy; empty: the one that the index was made with, and fts5 for a folder"
    )
    limit: int = Field(5, ge=1, le=50, description="hits, where the model does not say how many")
    timeout_seconds: float = Field(5.0, gt=0, le=10, description="longest exchange with the search engine at the url")

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            valid = not url or (parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0)
        except ValueError:
            valid = False
        if not valid:
            raise PydanticCustomError("url", "must be an address like https://search.example/search")
        return url

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        for one, other in _CONTRADICTORY:
            if getattr(self, one) and getattr(self, other):
                raise PydanticCustomError(
                    "contradiction", f"search.{one} and search.{other} exclude each other; set one"
                )
        return self
