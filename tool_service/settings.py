"""What the tool service can be told."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from protos.rpc.settings import Address, HttpAddress, Names, ServiceSettings
from tool_service.execution.host import APPROVAL_SECONDS
from tool_service.execution.shared import MAX_RESULT_CHARS
from tool_service.execution.workers import DEFAULT_COUNT, DEFAULT_MEMORY_BYTES
from tool_service.tools.http_get.settings import HttpGetSettings
from tool_service.tools.local_news.settings import LocalNewsSettings
from tool_service.tools.mcp.settings import McpServers
from tool_service.tools.python.settings import PythonSettings
from tool_service.tools.search.settings import SearchSettings
from tool_service.tools.sql.settings import SqlSettings

GIB = 1 << 30


class ToolSettings(ServiceSettings):
    """Settings of `python -m tool_service`: flags, `CONVEYOR_TOOLS_KEY`, or `[tools]` in the `--config` file."""

    model_config = SettingsConfigDict(env_prefix="CONVEYOR_TOOLS_")
    section: ClassVar[str] = "tools"
    short_names: ClassVar[Mapping[str, str]] = {
        "CONVEYOR_TOOLS": "modules",
        "CONVEYOR_PYTHON_SANDBOX": "python.sandbox",
    }

    address: Address = Field("127.0.0.1:50053", description="where to listen")
    metrics_address: HttpAddress = Field("127.0.0.1:8082", description="where to serve /metrics; empty: nowhere")
    modules: Names = Field([], description="Python files or modules whose tools are added")
    only: Names = Field([], description="names of the tools to offer; empty: all")
    approve: Names = Field([], description="names of the tools whose calls a person must allow, beside those that ask")
    approval_seconds: float = Field(
        APPROVAL_SECONDS, gt=0, le=86_400, description="how long a call waits to be allowed"
    )
    state_folder: str = Field("", description="where it is kept which calls have acted; empty: ~/.local/state/conveyor")
    workers: int = Field(DEFAULT_COUNT, ge=1, le=64, description="processes for plain functions")
    worker_memory_gib: float = Field(
        DEFAULT_MEMORY_BYTES / GIB, ge=0.5, le=1024, description="address space of each of them, in GiB"
    )
    max_completions: int = Field(256, ge=1, le=100_000, description="completions at once; then OVERLOADED")
    max_call_seconds: float = Field(
        600.0, gt=0, le=86_400, description="longest that a call may work, whatever its tool says"
    )
    max_result_chars: int = Field(
        MAX_RESULT_CHARS, ge=1, le=4_000_000, description="longest result of a call, unless a completion asks for less"
    )
    python: PythonSettings = Field(PythonSettings(), description="the tool `python`")
    search: SearchSettings = Field(SearchSettings(), description="the tool `search`")
    sql: SqlSettings = Field(SqlSettings(), description="the tool `sql`")
    http_get: HttpGetSettings = Field(HttpGetSettings(), description="the tool `http_get`")
    local_news: LocalNewsSettings = Field(LocalNewsSettings(), description="the tool `local_news`")
    mcp: McpServers = Field({}, description="MCP servers, by a name for each")

    @property
    def listening(self) -> dict[str, str]:
        """Its metrics say nothing that it must be asked for."""
        return {"address": self.address}
