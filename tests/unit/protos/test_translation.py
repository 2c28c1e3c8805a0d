import pytest
from google.protobuf.duration_pb2 import Duration

from protos.conveyor.decoder.v1 import decoder_pb2 as decoder
from protos.conveyor.gateway.v1 import gateway_pb2 as gateway
from protos.conveyor.tool.v1 import tool_pb2 as tool
from protos.rpc.translation import ALIKE, tool_event

BUSY, WAITING = Duration(nanos=5), Duration(seconds=2)

both_contracts = pytest.mark.parametrize("contract", [decoder, gateway], ids=["decoder", "gateway"])


@both_contracts
@pytest.mark.parametrize("name", [*ALIKE, "error"])
def test_messages_that_are_copied_are_alike(name, contract):
    finished = tool.CallFinished.DESCRIPTOR.fields_by_name
    events = tool.ExecuteResponse.DESCRIPTOR.fields_by_name
    theirs = (finished if name == "error" else events)[name].message_type
    assert shape(theirs) == shape(getattr(contract, theirs.name).DESCRIPTOR)


def shape(message):
    return [
        (
            *(field.number, field.name, field.type, field.is_repeated, field.has_presence),
            field.containing_oneof.name if field.containing_oneof else None,
            field.message_type.full_name if field.message_type else None,
        )
        for field in message.fields
    ]


@both_contracts
def test_events_that_are_alike_are_passed_on(contract):
    response = tool.ExecuteResponse(call_opened=tool.CallOpened(call_id="c", name="n", text_offset=3))
    assert tool_event(response, contract) == {"call_opened": contract.CallOpened(call_id="c", name="n", text_offset=3)}


@both_contracts
def test_a_unit_is_passed_on(contract):
    unit = tool.Unit(label="x", text_offset=7, busy=BUSY)
    response = tool.ExecuteResponse(unit_finished=tool.UnitFinished(call_id="c", unit=unit))
    assert tool_event(response, contract) == {
        "unit_finished": contract.UnitFinished(call_id="c", label="x", text_offset=7, busy=BUSY)
    }


@both_contracts
@pytest.mark.parametrize("outcome", [{"result": "r"}, {"result": ""}, {"error": ("RAISED", "why")}])
def test_an_outcome_is_passed_on(outcome, contract):
    def finished(module, **more):
        error = outcome.get("error")
        told = {"error": module.ToolError(code=error[0], message=error[1])} if error else outcome
        return module.CallFinished(call_id="c", arguments_json="{}", **told, **more)

    response = tool.ExecuteResponse(call_finished=finished(tool, timing=tool.Timing(busy=BUSY, waiting=WAITING)))
    assert tool_event(response, contract) == {"call_finished": finished(contract, busy=BUSY, waiting=WAITING)}


@both_contracts
def test_events_of_other_kinds_are_none_of_a_calls(contract):
    assert tool_event(tool.ExecuteResponse(), contract) == {}
    assert tool_event(tool.ExecuteResponse(started=tool.Started()), contract) == {}
