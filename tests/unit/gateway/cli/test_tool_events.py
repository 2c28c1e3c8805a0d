import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.cli.tool_events import of_completion
from protos.conveyor.gateway.v1 import gateway_pb2 as gateway
from protos.conveyor.tool.v1 import tool_pb2 as tool

BUSY, WAITING = Duration(nanos=5), Duration(seconds=2)


@pytest.mark.parametrize(
    "name", ["CallOpened", "ArgumentsDelta", "CallStarted", "CallOutput", "TurnVetoed", "ToolError"]
)
def test_messages_that_are_copied_are_alike(name):
    def fields(module):
        return [(f.number, f.name, f.type) for f in getattr(module, name).DESCRIPTOR.fields]

    assert fields(tool) == fields(gateway)


def test_events_that_are_alike_are_passed_on():
    response = tool.ExecuteResponse(call_opened=tool.CallOpened(call_id="c", name="n", text_offset=3))
    assert of_completion(response) == {"call_opened": gateway.CallOpened(call_id="c", name="n", text_offset=3)}


def test_a_unit_is_passed_on():
    unit = tool.Unit(label="x", text_offset=7, busy=BUSY)
    response = tool.ExecuteResponse(unit_finished=tool.UnitFinished(call_id="c", unit=unit))
    assert of_completion(response) == {
        "unit_finished": gateway.UnitFinished(call_id="c", label="x", text_offset=7, busy=BUSY)
    }


@pytest.mark.parametrize("outcome", [{"result": "r"}, {"error": ("RAISED", "why")}])
def test_an_outcome_is_passed_on(outcome):
    def finished(module, **more):
        error = outcome.get("error")
        told = {"error": module.ToolError(code=error[0], message=error[1])} if error else outcome
        return module.CallFinished(call_id="c", arguments_json="{}", **told, **more)

    response = tool.ExecuteResponse(call_finished=finished(tool, timing=tool.Timing(busy=BUSY, waiting=WAITING)))
    assert of_completion(response) == {"call_finished": finished(gateway, busy=BUSY, waiting=WAITING)}


def test_events_of_other_kinds_are_none_of_a_calls():
    assert of_completion(tool.ExecuteResponse()) == {}
    assert of_completion(tool.ExecuteResponse(started=tool.Started())) == {}
