"""What `local_news` can be told."""

from pydantic import BaseModel, ConfigDict, Field


class LocalNewsSettings(BaseModel):
    """Settings of `local_news`: `[tools.local_news]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    feed: str = Field(
        "",
        description="where news is: a .jsonl, .rss, .atom or .xml file, a folder of them, or a URL in which {city} and "
        "{state} stand for the place; empty: `local_news` is not offered",
    )
