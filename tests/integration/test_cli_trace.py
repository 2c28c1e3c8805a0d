"""`conveyor trace`, and the timeline of `conveyor ask`, against the real services."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from decoder_service.models.loader import LoadedModel
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from tests.integration.commands import conveyor, in_this_process
from tests.integration.stack import Stack, running_stack

pytestmark = pytest.mark.timeout(240)

REQUEST = pb.CompleteRequest(
    messages=[pb.Message(role="user", content="What is\n6 * 7?")],
    tool_use=pb.ToolUse(format="code_block", tools=["python"]),
    limits=pb.Limits(max_turns=2),
    replay=["```python\nimport time; time.sleep(0.1)\nprint(6 * 7)\n```", "42."],
)


@pytest.fixture
async def stack(model: LoadedModel) -> AsyncIterator[Stack]:
    async with running_stack(model) as running:
        yield running


async def trace(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    return await conveyor("trace", *arguments, "--gateway-http", stack.http.removeprefix("http://"))


async def test_a_completion_is_listed_drawn_and_written(stack: Stack, tmp_path: Path) -> None:
    status, output, _ = await trace(stack)
    assert (status, output.splitlines()) == (0, ['no completions yet; try: conveyor ask "What is 6 * 7?"'])
    status, _, errors = await trace(stack, "last")
    assert status == 1 and errors.startswith("error: there are no completions yet\n")

    request_id = (await stack.complete(REQUEST)).finished.request_id
    status, output, _ = await trace(stack)
    head, listed = output.splitlines()
    assert status == 0 and head.split() == ["id", "begun", "state", "mode", "seconds", "prompt"]
    assert listed.startswith(request_id) and listed.rstrip().endswith("What is 6 * 7?") and " finished " in listed

    status, output, errors = await trace(stack, request_id)
    title, prompt, first, call, second, _, _, ledger = output.splitlines()
    assert (status, errors) == (0, "") and title == f"{request_id} · finished · partial · tools python"
    assert prompt == "What is 6 * 7?" and first.startswith("turn 1 ") and second.startswith("turn 2 ")
    assert call.startswith("python ") and ledger.startswith("completion ")
    assert (await trace(stack, "last"))[1] == output

    data = json.loads((await trace(stack, request_id, "--json"))[1])
    assert data["id"] == request_id and data["events"][0]["turn_started"] == {"turn": 0}
    path = tmp_path / "trace.json"
    status, output, _ = await trace(stack, request_id, "--perfetto", str(path))
    assert status == 0 and output.startswith(f"{path}: ") and json.loads(path.read_text())["traceEvents"]
    status, output, _ = await trace(stack, request_id, "--perfetto", "-")
    assert status == 0 and json.loads(output) == json.loads(path.read_text())
    _, output, _ = await conveyor("trace", "--gateway-http", f"{stack.http}/")  # a URL, as `conveyor up` prints it
    assert output.splitlines()[1].startswith(request_id)


async def test_what_goes_wrong_is_explained(stack: Stack, tmp_path: Path) -> None:
    status, output, errors = await trace(stack, "nope", "--json")
    assert status == 1 and json.loads(output)["error"]["reason"] == "not_found"
    assert errors.splitlines()[0] == "error: there is no completion 'nope': not yet, or it is not kept any longer"
    request_id = (await stack.complete(REQUEST)).finished.request_id
    status, _, errors = await trace(stack, request_id, "--perfetto", str(tmp_path / "no" / "file"))
    assert status == 1 and errors.startswith(f"error: cannot write {tmp_path}/no/file: No such file")
    status, _, errors = await conveyor("trace", "--gateway-http", "127.0.0.1:1")
    assert status == 1 and errors.startswith("error: no gateway answers at 127.0.0.1:1: ")
    assert in_this_process("trace", "--perfetto", "x")[0] == 2
    for empty in ("", " "):
        status, _, errors = in_this_process("trace", empty)
        assert status == 2 and "ID: it is empty; `conveyor trace` lists" in errors
    for wrong in ("", "unix:/run/x", "ftp://a:1", "127.0.0.1"):
        assert f"{wrong!r} is not host:port, " in in_this_process("trace", "--gateway-http", wrong)[2]


async def test_ask_draws_its_timeline_where_it_is_told_to(stack: Stack, tmp_path: Path) -> None:
    gateway = ("--gateway", stack.grpc)
    (tmp_path / "replay.json").write_text(json.dumps(list(REQUEST.replay)))
    arguments = ("ask", "Hi", "--tools", "python", "--replay", str(tmp_path / "replay.json"), *gateway)
    status, _, errors = await conveyor(*arguments, "--timeline")
    assert status == 0
    names = [line.split(" ")[0] for line in errors.splitlines()[-6:-2]]
    assert names == ["turn", "python", "turn", ""] and errors.splitlines()[-1].startswith("completion ")
    _, _, errors = await conveyor(*arguments)  # no terminal
    assert "━" not in errors
