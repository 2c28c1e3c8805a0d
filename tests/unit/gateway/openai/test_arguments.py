import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.openai.arguments import ArgumentsText
from protos.conveyor.gateway.v1 import gateway_pb2 as pb

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(texts, values, max_size=4), st.data())
def test_the_pieces_joined_are_the_object_however_its_strings_were_cut(
    arguments: dict[str, object], data: st.DataObject
):
    writer, written = ArgumentsText(), ""
    for name, value in arguments.items():
        if not isinstance(value, str):
            written += writer.feed(pb.ArgumentsDelta(call_id="c", argument=name, value_json=json.dumps(value)))
            continue
        written += writer.feed(pb.ArgumentsDelta(call_id="c", argument=name, text=""))
        while value:
            length = data.draw(st.integers(1, len(value)))
            written += writer.feed(pb.ArgumentsDelta(call_id="c", argument=name, text=value[:length]))
            value = value[length:]
    written += writer.close()
    assert json.loads(written) == arguments
    assert list(json.loads(written)) == list(arguments)
    assert writer.close() == ""


def test_an_argument_that_comes_again_is_written_again():
    writer = ArgumentsText()
    deltas = [pb.ArgumentsDelta(argument="a", value_json="1"), pb.ArgumentsDelta(argument="a", value_json="2")]
    assert "".join(map(writer.feed, deltas)) + writer.close() == '{"a": 1, "a": 2}'
