"""Two callers may choose the same request id: what the calls of one came to is nothing to the other."""

from pathlib import Path

import pytest

from decoder_service.models.loader import LoadedModel
from gateway.guard.keys_file import new_key
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from tests.integration.stack import running_stack
from tool_service.interface import Effect, tool

pytestmark = pytest.mark.timeout(240)


async def test_a_call_acts_once_for_each_caller(small_model: LoadedModel, tmp_path: Path) -> None:
    acts: list[str] = []

    @tool(effect=Effect.WRITE, timeout=5)
    async def send(to: str) -> str:
        """Send a letter."""
        acts.append(to)
        return f"receipt {len(acts)}"

    keys = {name: new_key(tmp_path / "keys", name) for name in ("alice", "bob")}
    settings = {"keys_file": str(tmp_path / "keys")}
    async with running_stack(small_model, [send], gateway_settings=settings) as stack:

        async def asked(name: str) -> str:
            request = pb.CompleteRequest(
                messages=[pb.Message(role="user", content="Send it.")],
                tool_use=pb.ToolUse(format="hermes", tools=["send"]),
                limits=pb.Limits(max_turns=1),
                replay=['<tool_call>\n{"name": "send", "arguments": {"to": "ada"}}\n</tool_call>'],
            )
            metadata = (("authorization", f"Bearer {keys[name]}"), ("x-request-id", "order-17"))
            events = [event async for event in stack.client.Complete(request, timeout=60, metadata=metadata)]
            [finished] = [event.call_finished for event in events if event.HasField("call_finished")]
            return finished.result

        assert [await asked(name) for name in ("bob", "alice", "bob", "alice")] == ["receipt 1", "receipt 2"] * 2
    assert acts == ["ada", "ada"]
