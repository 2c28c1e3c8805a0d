"""What `python` can be told."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tool_service.tools.python.fork_server import PRELOAD


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class PythonSettings(BaseModel):
    """Settings of `python`: `[tools.python]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sandbox: Literal["on", "off"] = Field("on", description="`off`: offer `python` though nothing holds its code in")
    preload: Annotated[list[str], BeforeValidator(_split)] = Field(
        list(PRELOAD), description="modules that every interpreter has imported from its start"
    )
