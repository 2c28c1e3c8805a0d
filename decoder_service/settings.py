"""What the decoder can be told."""

from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from decoder_service.models.catalogue import DEFAULT
from protos.rpc.settings import Address, HttpAddress, ServiceSettings
from protos.rpc.tls import NO_TLS, PeerTls


class DecoderSettings(ServiceSettings):
    """Settings of `python -m decoder_service`: flags, `CONVEYOR_DECODER_KEY`, or `[decoder]` in the `--config` file."""

    model_config = SettingsConfigDict(env_prefix="CONVEYOR_DECODER_")
    section: ClassVar[str] = "decoder"

    address: Address = Field("127.0.0.1:50052", description="where to listen")
    tools_address: str = Field("127.0.0.1:50053", description="where the tool service is")
    metrics_address: HttpAddress = Field("127.0.0.1:8081", description="where to serve /metrics; empty: nowhere")
    model: str = Field(DEFAULT, description="catalogue name, directory that from_pretrained reads, or hub name")
    dtype: str = Field("auto", pattern="^(auto|float32|bfloat16)$", description="of weights and activations")
    quantization: Literal["auto", "none", "int8", "int4"] = Field(
        "auto", description="bits of the weights in steps of few tokens; auto: those of the model's file"
    )
    threads: int = Field(0, ge=0, le=1024, description="threads of a forward pass; 0: all cores but one, for the tools")
    max_running: int = Field(32, ge=1, le=1024, description="sequences in a batch")
    max_waiting: int = Field(128, ge=0, le=100_000, description="sequences beyond those in the batch; then OVERLOADED")
    prefill_chunk: int = Field(512, ge=1, le=8192, description="prompt tokens in one step, at most")
    kv_cache_gib: float = Field(2.0, gt=0, le=4096, description="memory for keys and values, taken at the start")
    speculation: Literal["auto", "off"] = Field(
        "auto", description="several tokens in a step where they are forced, or drafted and right; off: one"
    )
    context_length: int = Field(0, ge=0, description="most tokens of a completion; 0: the model's")
    peer_tls: PeerTls = Field(NO_TLS, description="how the tool service is checked, and what it is shown")

    @property
    def listening(self) -> dict[str, str]:
        """Its metrics say nothing that it must be asked for."""
        return {"address": self.address}
