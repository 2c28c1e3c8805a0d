"""The shape of a model that the lean forward pass can run."""

from dataclasses import dataclass

from transformers import PretrainedConfig

FAMILIES = ("llama", "qwen2")
LANES = 16  # the kernels take numbers by so many, and a head's coordinates by twice as many
PLAIN_ROPE = ("default", "linear", "llama3", "yarn")  # angles that do not depend on how long a sequence is


class NotLeanError(Exception):
    """The lean forward pass cannot run this model, or not on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of a decoder-only transformer with grouped-query attention, rotary positions and a gated MLP."""

    layers: int
    hidden: int
    intermediate: int
    query_heads: int
    kv_heads: int
    head_dim: int
    epsilon: float

    @property
    def qkv_width(self) -> int:
        """Columns of the fused projection: queries, keys, values."""
        return (self.query_heads + 2 * self.kv_heads) * self.head_dim


def architecture_of(config: PretrainedConfig) -> Architecture:
    """What a model's configuration says. Raises NotLeanError."""
    if config.model_type not in FAMILIES:
        raise NotLeanError(f"{config.model_type} is none of {', '.join(FAMILIES)}")
    heads = config.num_attention_heads
    found = Architecture(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        query_heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        epsilon=config.rms_norm_eps,
    )
    _refuse(config, found)
    return found


def _refuse(config: PretrainedConfig, found: Architecture) -> None:
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if config.hidden_act != "silu":
        raise NotLeanError(f"its activation is {config.hidden_act}, not silu")
    if getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False):
        raise NotLeanError("it has biases where its family has none")
    if rope not in PLAIN_ROPE:
        raise NotLeanError(f"its rotary positions are of the kind {rope}")
    if found.head_dim % (2 * LANES) or found.hidden % LANES or found.intermediate % LANES:
        raise NotLeanError(f"its widths are no multiples of {LANES}, or its heads' no multiple of {2 * LANES}")
    if set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        raise NotLeanError("not all of its layers attend to all tokens")
