from google.protobuf import duration_pb2

from gateway.message_json import seconds, to_data, word
from protos.conveyor.gateway.v1 import gateway_pb2 as pb


def test_durations_enums_lists_and_absent_fields():
    tool = pb.Tool(name="t", effect=pb.EFFECT_READ, timeout=duration_pb2.Duration(seconds=1, nanos=500_000_000))
    assert to_data(pb.ListToolsResponse(tools=[tool])) == {
        "tools": [
            {
                "name": "t",
                "description": "",
                "parameters_json_schema": "",
                "effect": "read",
                "partial": False,
                "timeout_seconds": 1.5,
                "needs_approval": False,
            }
        ],
        "formats": [],
    }
    assert "attained" not in to_data(pb.Ledger())


def test_an_enum_value_that_is_not_known_is_its_number():
    assert word(pb.ToolUse(mode=pb.MODE_ON_SEAL), "mode") == "on_seal"
    assert word(pb.ToolUse(mode=99), "mode") == "99"


def test_seconds_are_rounded_to_microseconds():
    assert seconds(duration_pb2.Duration(seconds=2, nanos=123_456_789)) == 2.123457


def test_bytes_are_base64():
    assert to_data(pb.CallArtifact(data=b"\x00\xff"))["data"] == "AP8="
