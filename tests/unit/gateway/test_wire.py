import pytest
from google.protobuf import duration_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.ledger import CallFinished, Ledger, TextDecoded, TurnDecoded, TurnFinished, UnitFinished
from gateway.request import Completion, Function, Limits, Message, Mode, Role, SaidCall, Sampling, ToolUse
from protos.conveyor.decoder.v1 import decoder_pb2
from protos.conveyor.gateway.v1 import gateway_pb2
from protos.conveyor.tool.v1 import tool_pb2

EVENTS = [field.name for field in gateway_pb2.CompleteResponse.DESCRIPTOR.oneofs_by_name["event"].fields]


def shape(message, differing=frozenset()):
    """Numbers, names and types of a message's fields, all the way down; the differing ones by name only."""
    fields = {}
    for field in message.fields:
        inner = None
        if field.name in differing:
            inner = "differs"
        elif field.message_type:
            inner = shape(field.message_type)
        elif field.enum_type:
            inner = {value.number: value.name for value in field.enum_type.values}
        oneof = field.containing_oneof.name if field.containing_oneof else None
        fields[field.number] = (field.name, field.type, field.is_repeated, field.has_presence, oneof, inner)
    return fields


def fill(message):
    """Sets every field of a message to something that is not its default; of a oneof, the last one."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type and not field.is_repeated:
            inner = getattr(message, field.name)
            inner.SetInParent()
            fill(inner)
        else:
            value = {field.CPPTYPE_STRING: "text", field.CPPTYPE_ENUM: 1}.get(field.cpp_type, 7)
            value = b"bytes" if field.type == field.TYPE_BYTES else value
            setattr(message, field.name, value) if not field.is_repeated else getattr(message, field.name).append(value)
    return message


def test_decoder_events_have_the_shape_of_gateway_events():
    theirs = shape(decoder_pb2.GenerateResponse.DESCRIPTOR, {"finished"})
    between_the_two = {17: "number", 18: "accepted"}  # what the gateway's client of the decoder takes out
    assert {number: theirs.pop(number)[0] for number in between_the_two} == between_the_two
    assert theirs == shape(gateway_pb2.CompleteResponse.DESCRIPTOR, {"finished"})


def test_other_copied_messages_have_the_same_shape():
    assert shape(decoder_pb2.Usage.DESCRIPTOR) == shape(gateway_pb2.Usage.DESCRIPTOR)
    assert shape(tool_pb2.ListToolsResponse.DESCRIPTOR) == shape(gateway_pb2.ListToolsResponse.DESCRIPTOR)
    ours = shape(decoder_pb2.Start.DESCRIPTOR)
    assert ours.pop(7)[0] == "caller"  # the gateway's to say
    assert ours == shape(gateway_pb2.CompleteRequest.DESCRIPTOR)
    assert decoder_pb2.FinishReason.items() == gateway_pb2.FinishReason.items()


@pytest.mark.parametrize("kind", [kind for kind in EVENTS if kind != "finished"])
def test_every_field_of_every_event_is_carried(kind):
    response = decoder_pb2.GenerateResponse(at=duration_pb2.Duration(seconds=1, nanos=5))
    fill(getattr(response, kind))
    carried = wire.copy(response, gateway_pb2.CompleteResponse)
    assert carried.WhichOneof("event") == kind
    # The text format shows names and values of all that is set, and unknown fields by number.
    assert str(carried) == str(response)


def test_a_completion_is_asked_of_the_decoder_in_full():
    completion = Completion(
        (
            Message(Role.SYSTEM, "be"),
            Message(Role.USER, "do"),
            Message(Role.ASSISTANT, "", (SaidCall("1", "f", "{}"),)),
            Message(Role.TOOL, "done", (), "1"),
        ),
        ToolUse("hermes", ("a", "b"), Mode.ON_SEAL, "required", True, (Function("f", "does", "{}"),), True, True),
        Sampling(0.5, 0.25, 3, 0),
        Limits(9, 2, ("stop",)),
        ("said",),
        "{}",
    )
    assert wire.to_start(completion, "alice") == decoder_pb2.Start(
        messages=[
            decoder_pb2.Message(role="system", content="be"),
            decoder_pb2.Message(role="user", content="do"),
            decoder_pb2.Message(
                role="assistant", calls=[decoder_pb2.SaidCall(call_id="1", name="f", arguments_json="{}")]
            ),
            decoder_pb2.Message(role="tool", content="done", call_id="1"),
        ],
        tool_use=decoder_pb2.ToolUse(
            format="hermes",
            tools=["a", "b"],
            mode=decoder_pb2.MODE_ON_SEAL,
            choice="required",
            stream_arguments=True,
            functions=[decoder_pb2.Function(name="f", description="does", parameters_json_schema="{}")],
            stream_content=True,
            single_call=True,
        ),
        sampling=decoder_pb2.Sampling(temperature=0.5, top_p=0.25, top_k=3, seed=0),
        limits=decoder_pb2.Limits(max_tokens=9, max_turns=2, stop=["stop"]),
        replay=["said"],
        response_json_schema="{}",
        caller="alice",
    )


def test_modes_have_the_decoders_numbers():
    assert {f"MODE_{mode.name}": mode.value for mode in Mode} | {"MODE_UNSPECIFIED": 0} == dict(
        decoder_pb2.Mode.items()
    )


def test_an_absent_seed_stays_absent():
    completion = Completion((), None, Sampling(0, 1, 0, None), Limits(1, 1, ()), (), "")
    request = wire.to_start(completion)
    assert not request.sampling.HasField("seed")
    assert not request.HasField("tool_use")


def test_the_timeline_gets_what_it_counts():
    at = wire.duration(1.5)
    events = {
        "text_delta": (decoder_pb2.TextDelta(text="añ😀"), TextDecoded(1.5, 3)),
        "unit_finished": (
            decoder_pb2.UnitFinished(call_id="c", text_offset=9, busy=wire.duration(0.25)),
            UnitFinished(1.5, "c", 9, 0.25),
        ),
        "call_finished": (decoder_pb2.CallFinished(call_id="c", busy=at), CallFinished(1.5, "c", 1.5)),
        "turn_decoded": (decoder_pb2.TurnDecoded(), TurnDecoded(1.5)),
        "turn_finished": (decoder_pb2.TurnFinished(), TurnFinished(1.5)),
        "call_opened": (decoder_pb2.CallOpened(), None),
    }
    for kind, (event, expected) in events.items():
        assert wire.to_timeline(decoder_pb2.GenerateResponse(at=at, **{kind: event}), kind) == expected


def test_finished_carries_the_ledger():
    finished = decoder_pb2.Finished(finish_reason=2, usage=decoder_pb2.Usage(prompt_tokens=3, completion_tokens=4))
    response = wire.to_finished(finished, "id", Ledger(4.0, 1.0, 2.0, 0.5, 4.5, 3.5, 0.5))
    assert response.at == wire.duration(4.0)
    assert response.finished.request_id == "id"
    assert response.finished.finish_reason == gateway_pb2.FINISH_REASON_LENGTH
    assert response.finished.usage == gateway_pb2.Usage(prompt_tokens=3, completion_tokens=4)
    seconds = {name.name: wire.seconds(value) for name, value in response.finished.ledger.ListFields()[:-1]}
    assert seconds == {"completion": 4.0, "decode": 1.0, "tool": 2.0, "hidden": 0.5, "serial": 4.5, "ideal": 3.5}
    assert response.finished.ledger.attained == 0.5


def test_nothing_to_save_leaves_attained_absent():
    assert not wire.to_ledger(Ledger(1, 1, 0, 0, 1, 1, None)).HasField("attained")


@given(st.floats(0, 1e6))
def test_durations_survive_the_way_there_and_back(value):
    assert wire.seconds(wire.duration(value)) == pytest.approx(value, abs=1e-9)
