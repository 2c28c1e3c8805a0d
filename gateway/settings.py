"""What the gateway can be told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from gateway.guard.hosts import check_host, check_origin
from gateway.guard.keys_file import read
from protos.rpc.settings import Address, HttpAddress, Names, ServiceSettings
from protos.rpc.tls import NO_TLS, PeerTls


def _check_keys(path: str) -> str:
    if path:
        read(Path(path))
    return path


def _check_hosts(names: list[str]) -> list[str]:
    return list(map(check_host, names))


def _check_origins(origins: list[str]) -> list[str]:
    return list(map(check_origin, origins))


class GatewaySettings(ServiceSettings):
    """Settings of `python -m gateway`: flags, `CONVEYOR_GATEWAY_KEY`, or `[gateway]` in the `--config` file."""

    model_config = SettingsConfigDict(env_prefix="CONVEYOR_GATEWAY_")
    section: ClassVar[str] = "gateway"
    asks_who: ClassVar[Mapping[str, str]] = {
        "keys_file": "Name a file of API keys with keys_file (`conveyor keys new NAME` makes one)",
        **ServiceSettings.asks_who,
    }

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
    max_kept: int = Field(
        200, ge=0, le=100_000, description="completions of each caller that have ended and are kept; 0: none"
    )
    log_content: bool = Field(False, description="log what was asked and answered, each up to 4096 characters")
    keys_file: Annotated[str, AfterValidator(_check_keys)] = Field(
        "", description="file of the API keys that are taken; empty: nobody needs one"
    )
    requests_per_minute: int = Field(0, ge=0, description="completions that each key may begin in a minute; 0: any")
    max_active_per_key: int = Field(0, ge=0, description="completions of each key that may run at once; 0: any")
    allowed_hosts: Annotated[Names, AfterValidator(_check_hosts)] = Field(
        [], description="names that HTTP answers to, beside localhost and the host of http_address; *: any"
    )
    allowed_origins: Annotated[Names, AfterValidator(_check_origins)] = Field(
        [], description="origins whose pages may call, beside the gateway's own; *: any"
    )
    receive_seconds: float = Field(30.0, gt=0, le=3600, description="longest that a request may take to come in")
    max_connections: int = Field(1024, ge=1, description="connections that may be open at once, for each port")
    peer_tls: PeerTls = Field(NO_TLS, description="how the decoder and the tool service are checked, and what is shown")

    @property
    def listening(self) -> dict[str, str]:
        """Both of its ports."""
        return {"address": self.address, "http_address": self.http_address}
