"""What the decoder refuses at its edge."""

import pytest

from decoder_service.request import parse
from protos.conveyor.decoder.v1 import decoder_pb2 as pb
from protos.rpc.errors import Reason, ServiceError
from tests.fields import has_field

HELLO = pb.Message(role="user", content="hello")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.Start(), Reason.EMPTY_PROMPT),
        (pb.Start(messages=[pb.Message(role="user", content=" \n")]), Reason.EMPTY_PROMPT),
        (pb.Start(messages=[pb.Message(role="robot", content="x"), HELLO]), Reason.INVALID_MESSAGE),
        (pb.Start(messages=[HELLO], limits=pb.Limits(max_tokens=-1)), Reason.INVALID_LIMIT),
        (pb.Start(messages=[HELLO], limits=pb.Limits(max_tokens=10**9)), Reason.INVALID_LIMIT),
        (pb.Start(messages=[HELLO], limits=pb.Limits(max_turns=1000)), Reason.INVALID_LIMIT),
        (pb.Start(messages=[HELLO], limits=pb.Limits(stop=[""])), Reason.INVALID_LIMIT),
        (pb.Start(messages=[HELLO], limits=pb.Limits(stop=["x"] * 9)), Reason.INVALID_LIMIT),
        (pb.Start(messages=[HELLO], sampling=pb.Sampling(temperature=-1)), Reason.INVALID_SAMPLING),
        (pb.Start(messages=[HELLO], sampling=pb.Sampling(temperature=float("nan"))), Reason.INVALID_SAMPLING),
        (pb.Start(messages=[HELLO], sampling=pb.Sampling(top_p=1.5)), Reason.INVALID_SAMPLING),
        (pb.Start(messages=[HELLO], sampling=pb.Sampling(top_k=-1)), Reason.INVALID_SAMPLING),
        (pb.Start(messages=[HELLO], tool_use=pb.ToolUse(format="json")), Reason.INVALID_TOOL_USE),
        (pb.Start(messages=[HELLO], tool_use=pb.ToolUse(tools=["a"], choice="b")), Reason.INVALID_TOOL_USE),
        (
            pb.Start(messages=[HELLO], tool_use=pb.ToolUse(tools=["a"]), response_json_schema="{}"),
            Reason.INVALID_TOOL_USE,
        ),
        (pb.Start(messages=[HELLO], replay=["a", ""]), Reason.INVALID_REPLAY),
    ],
)
def test_wrong_input_is_refused_with_a_reason(request_: pb.Start, reason: Reason) -> None:
    with pytest.raises(ServiceError) as refused:
        parse(request_)
    assert refused.value.reason is reason
    assert has_field(pb.Start.DESCRIPTOR, refused.value.field)
    assert refused.value.message.startswith(f"{refused.value.field} ")


def test_choice_none_means_no_tools() -> None:
    parsed = parse(pb.Start(messages=[HELLO], tool_use=pb.ToolUse(tools=["a"], choice="none")))
    assert parsed.tools is None


@pytest.mark.parametrize("wish", [False, True])
def test_arguments_are_streamed_where_that_is_asked_for(wish: bool) -> None:
    parsed = parse(pb.Start(messages=[HELLO], tool_use=pb.ToolUse(tools=["a"], stream_arguments=wish)))
    assert parsed.tools is not None
    assert parsed.tools.stream_arguments is wish


def test_absent_values_take_the_documented_defaults() -> None:
    parsed = parse(pb.Start(messages=[HELLO]))
    assert (parsed.max_tokens, parsed.max_turns, parsed.sampling.top_p) == (512, 4, 1.0)
