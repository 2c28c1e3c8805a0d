"""What `http_get` can be told."""

from pydantic import BaseModel, ConfigDict, Field


class HttpGetSettings(BaseModel):
    """Settings of `http_get`: `[tools.http_get]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_private: bool = Field(False, description="fetch from private and local addresses too")
