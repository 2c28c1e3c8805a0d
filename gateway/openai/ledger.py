"""The ledger of a completion in the block that answers have beside OpenAI's fields."""

from gateway.wire import seconds
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

TIMES = ("completion", "decode", "tool", "hidden", "serial", "ideal")


def ledger_of(ledger: pb.Ledger) -> dict[str, float | None]:
    """Seconds, and the share of what could be saved that was; None where there was nothing to save."""
    told: dict[str, float | None] = {f"{name}_seconds": seconds(getattr(ledger, name)) for name in TIMES}
    return told | {"attained": ledger.attained if ledger.HasField("attained") else None}
