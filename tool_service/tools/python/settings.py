"""What `python` can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PythonSettings(BaseModel):
    """Settings of `python`: `[tools.python]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sandbox: Literal["on", "off"] = Field("on", description="`off`: offer `python` though nothing holds its code in")
