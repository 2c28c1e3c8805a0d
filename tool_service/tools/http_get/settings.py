"""What `http_get` can be told."""

from pydantic import BaseModel, ConfigDict, Field


class HttpGetSettings(BaseModel):
    """Settings of `http_get`: `[tools.http_get]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_private: bool = Field(False, description="fetch from private and local addresses too")
    timeout_seconds: float = Field(20.0, gt=0, le=600, description="seconds from asking for a page to having all of it")
    max_bytes: int = Field(2 << 20, ge=1, le=64 << 20, description="most that is read of a page, unpacked or not")
    max_redirects: int = Field(5, ge=0, le=20, description="how often a page may lead on to another address")
    user_agent: str = Field(
        "Conveyor/0.1 (http_get)", pattern=r"^[ -~]{1,200}$", description="what is sent as User-Agent"
    )
