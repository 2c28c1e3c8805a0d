"""What the tool service can be told."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from protos.rpc.settings import Address, HttpAddress, ServiceSettings


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


# With commas between them wherever they are text; pydantic-settings would want JSON in the environment.
Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]


class ToolSettings(ServiceSettings):
    """Settings of the tool service; see protos/rpc/settings.py for where they come from."""

    model_config = SettingsConfigDict(env_prefix="CONVEYOR_TOOLS_")
    section: ClassVar[str] = "tools"

    address: Address = Field("127.0.0.1:50053", description="where to listen")
    metrics_address: HttpAddress = Field("127.0.0.1:8082", description="where to serve /metrics; empty: nowhere")
    modules: Names = Field([], description="Python files or modules whose tools are added")
    only: Names = Field([], description="names of the tools to offer; empty: all")
    search_folder: str = Field(
        "", description="text and Markdown that `search` reads; empty: this project's documentation"
    )
    max_completions: int = Field(256, ge=1, le=100_000, description="completions at once; then OVERLOADED")
    max_call_seconds: float = Field(600.0, gt=0, le=86_400, description="longest timeout that a completion may ask for")
    max_result_chars: int = Field(
        16_384, ge=1, le=4_000_000, description="longest result of a call, unless a completion asks for less"
    )
