"""What can be told of MCP servers."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

_URL = re.compile(r"https?://[^\s/]+\S*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class McpServerSettings(BaseModel):
    """Settings of one server: `[tools.mcp.NAME]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: list[str] = Field(
        [], max_length=256, description="starts the server, which then speaks on its standard streams"
    )
    env: dict[str, str] = Field(
        {}, max_length=256, repr=False, description="variables for it, beside PATH, HOME and others of no secret"
    )
    cwd: str = Field("", description="folder that it starts in; empty: the service's")
    headers: dict[str, str] = Field({}, max_length=64, repr=False, description="HTTP headers of each request to `url`")
    # After all that it is checked against: a problem of two settings is told as one of `url`, which holds no secret.
    url: str = Field("", validate_default=True, description="where the server speaks streamable HTTP")
    trusted: bool = Field(False, description="believe what the server says of its tools' effects")
    only: list[str] = Field([], description="names of its tools to offer, as it has them; empty: all")
    timeout_seconds: float = Field(60.0, gt=0, le=3_600, description="seconds that a call may work")
    concurrency: int = Field(8, ge=1, le=1_000, description="calls of one tool at once; further ones wait")
    start_seconds: float = Field(30.0, gt=0, le=600, description="seconds that the server may take to start and list")

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: list[str]) -> list[str]:
        if command and (not command[0].strip() or any("\0" in part for part in command)):
            raise _wrong("the first part must be a program, and no part may hold a null character")
        return command

    @field_validator("cwd")
    @classmethod
    def _check_cwd(cls, cwd: str) -> str:
        if cwd and not Path(cwd).is_dir():
            raise _wrong("there is no such folder")
        return cwd

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str, info: ValidationInfo) -> str:
        if problem := _problem(url, info.data):
            raise _wrong(problem)
        return url


def _problem(url: str, others: dict[str, Any]) -> str:
    """What is wrong with a server's settings as a whole, without the values of variables and headers."""
    command = others.get("command", [""])  # missing where it is wrong itself
    if url and not _URL.fullmatch(url):
        return "must begin with http:// or https:// and a host"
    if bool(url) == bool(command):
        return "a server has either a command or a url"
    if url and (others.get("env") or others.get("cwd")):
        return "env and cwd go with a command, not with a url"
    if command and others.get("headers"):
        return "headers go with a url, not with a command"
    for name, value in others.get("env", {}).items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            return f"env: {name!r} is no variable, or its value holds a null character"
    for name, value in others.get("headers", {}).items():
        if not _HEADER.fullmatch(name) or not value.isprintable():
            return f"headers: {name!r} is no header, or its value is not printable"
    return ""


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("mcp", "{message}", {"message": message})


# Letters, digits and "-": "_" stands between this and a tool's own name, so the tools of two servers never clash.
ServerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31}$")]
McpServers = Annotated[dict[ServerName, McpServerSettings], Field(max_length=32)]
