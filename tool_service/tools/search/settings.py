"""What `search` can be told."""

from pydantic import BaseModel, ConfigDict, Field


class SearchSettings(BaseModel):
    """Settings of `search`: `[tools.search]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = Field("", description="text and Markdown that `search` reads; empty: this project's documentation")
