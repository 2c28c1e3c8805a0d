"""What the gateway can be told."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from protos.rpc.settings import Address, HttpAddress, ServiceSettings


class GatewaySettings(ServiceSettings):
    """Settings of `python -m gateway`: flags, `CONVEYOR_GATEWAY_KEY`, or `[gateway]` in the `--config` file."""

    model_config = SettingsConfigDict(env_prefix="CONVEYOR_GATEWAY_")
    section: ClassVar[str] = "gateway"

    address: Address = Field("127.0.0.1:50051", description="where gRPC listens, host:port")
    http_address: HttpAddress = Field("127.0.0.1:8080", description="where HTTP listens; empty: nowhere")
    decoder_address: str = Field("127.0.0.1:50052", min_length=1, description="the decoder, host:port or a gRPC target")
    tools_address: str = Field(
        "127.0.0.1:50053", min_length=1, description="the tool service, host:port or a gRPC target"
    )
    default_deadline_seconds: float = Field(
        300.0, gt=0, description="longest completion when a client sets no deadline"
    )
    max_deadline_seconds: float = Field(3600.0, gt=0, description="longest completion whatever a client asks for")
    max_prompt_chars: int = Field(1_000_000, ge=1, description="characters of all messages of a completion")
    max_body_bytes: int = Field(8 * 2**20, ge=1024, description="of a request over HTTP")
    tools_refresh_seconds: float = Field(5.0, gt=0, description="how often the tool service is asked for its tools")
    max_active: int = Field(256, ge=1, description="completions that may run at once; further ones are refused")
    completions_file: str = Field(
        "", description="where completions that have ended are kept, in SQLite; empty: in memory"
    )
    max_kept: int = Field(200, ge=0, le=100_000, description="completions that have ended and are kept; 0: none")
