"""What `python` can be told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from protos.rpc.settings import Names
from tool_service.tools.python.fork_server import PRELOAD


class PythonSettings(BaseModel):
    """Settings of `python`: `[tools.python]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sandbox: Literal["on", "off"] = Field("on", description="`off`: offer `python` though nothing holds its code in")
    preload: Names = Field(list(PRELOAD), description="modules that every interpreter has imported already")
