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
    interpreters: int = Field(16, ge=1, description="how many may be open at a time; each completion has one")
    memory_mib: int = Field(2048, ge=128, description="memory of all processes of an interpreter together, MiB")
    folder_mib: int = Field(128, ge=1, description="what an interpreter's files may take together, MiB")
