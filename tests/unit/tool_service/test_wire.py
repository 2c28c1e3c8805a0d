"""What opens a completion is read, or refused by the path of the field that is to blame."""

import pytest

from protos.conveyor.tool.v1 import tool_pb2 as pb
from protos.rpc.errors import Reason, ServiceError
from tests.fields import has_field
from tool_service.settings import ToolSettings
from tool_service.wire import parse_start

LOOK = pb.Function(name="look", parameters_json_schema='{"type": "object"}')
ODD = pb.Function(name="odd", parameters_json_schema='{"type": "string"}')


@pytest.mark.parametrize(
    ("start", "reason", "field"),
    [
        (pb.Start(), Reason.INVALID_TOOL_USE, "tools"),
        (pb.Start(tools=["look"], functions=[LOOK]), Reason.INVALID_TOOL_USE, "tools"),
        (pb.Start(tools=["a"], mode=99), Reason.INVALID_TOOL_USE, "mode"),
        (pb.Start(functions=[LOOK, ODD]), Reason.INVALID_SCHEMA, "functions[1]"),
        (pb.Start(tools=["a"], limits=pb.Limits(max_calls_per_turn=-1)), Reason.INVALID_LIMIT, "limits"),
        (pb.Start(tools=["a"], limits=pb.Limits(max_result_chars=10**9)), Reason.INVALID_LIMIT, "limits"),
    ],
)
def test_a_wrong_start_is_refused_by_its_field(start: pb.Start, reason: Reason, field: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_start(start, ToolSettings())
    error = refused.value
    assert error.reason is reason
    assert error.field.startswith(field) and has_field(pb.Start.DESCRIPTOR, error.field)
    assert error.message.startswith(error.field)
