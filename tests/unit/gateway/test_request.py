import pytest

from gateway.request import Function, Limits, Message, Mode, Role, SaidCall, Sampling, ToolUse, listed, parse, shown
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason, ServiceError
from tests.fields import has_field

MAX_CHARS = 1000
USER = pb.Message(role="user", content="hello")
TOOLS = pb.ToolUse(format="hermes", tools=["search", "python"])


def request(**fields):
    return pb.CompleteRequest(**{"messages": [USER], **fields})


def message(role, content="hello"):
    return pb.Message(role=role, content=content)


def refusal(of):
    with pytest.raises(ServiceError) as raised:
        parse(of, MAX_CHARS)
    return raised.value


def test_fills_in_the_defaults():
    completion = parse(request(tool_use=TOOLS), MAX_CHARS)
    assert completion.messages == (Message(Role.USER, "hello"),)
    assert completion.limits == Limits(512, 4, ())
    assert completion.sampling == Sampling(0.0, 1.0, 0, None)
    assert completion.tool_use == ToolUse("hermes", ("search", "python"), Mode.PARTIAL, "auto", stream_arguments=False)
    assert parse(request(), MAX_CHARS).tool_use is None


def test_takes_what_is_at_the_edge_of_every_limit():
    completion = parse(
        request(
            messages=[message("system"), message("user"), message("assistant", " "), message("user", "x")],
            sampling=pb.Sampling(temperature=2, top_p=1, top_k=0, seed=-1),
            limits=pb.Limits(max_tokens=100_000, max_turns=32, stop=["x" * 256] * 8),
            replay=["turn"] * 32,
            tool_use=pb.ToolUse(
                format="hermes", tools=["a"], mode=pb.MODE_SERIAL, choice="none", stream_arguments=True
            ),
        ),
        MAX_CHARS,
    )
    assert completion.sampling.seed == -1
    assert completion.tool_use.mode is Mode.SERIAL
    assert completion.tool_use.stream_arguments
    assert len(completion.replay) == 32


def test_a_named_choice_may_be_any_of_the_tools():
    assert parse(request(tool_use=pb.ToolUse(tools=["a"], choice="a")), MAX_CHARS).tool_use.choice == "a"


def called(*call_ids, arguments="{}"):
    calls = [pb.SaidCall(call_id=call_id, name="f", arguments_json=arguments) for call_id in call_ids]
    return pb.Message(role="assistant", calls=calls)


def answer(call_id):
    return pb.Message(role="tool", call_id=call_id, content="done")


def offering(*names, schema="{}"):
    return pb.ToolUse(functions=[pb.Function(name=name, parameters_json_schema=schema) for name in names])


CALLED = called("a")


def test_a_conversation_may_have_calls_with_their_answers_in_any_order():
    messages = [USER, called("a", "b"), answer("b"), answer("a")]
    asked, said, *answers = parse(request(messages=messages), MAX_CHARS).messages
    assert (asked.role, said.content) == (Role.USER, "")
    assert said.calls == (SaidCall("a", "f", "{}"), SaidCall("b", "f", "{}"))
    assert [each.call_id for each in answers] == ["b", "a"]


def test_functions_of_the_client_stand_beside_tools_or_alone():
    use = parse(
        request(tool_use=pb.ToolUse(tools=["a"], functions=[pb.Function(name="f")], choice="f")), MAX_CHARS
    ).tool_use
    assert use.functions == (Function("f", "", '{"type": "object", "properties": {}}'),)
    assert parse(request(tool_use=offering("f")), MAX_CHARS).tool_use.tools == ()


NAN = float("nan")
WRONG = [
    ({"messages": []}, Reason.EMPTY_PROMPT, "messages is empty"),
    ({"messages": [message("user", " \n")]}, Reason.EMPTY_PROMPT, "messages[0].content is blank"),
    ({"messages": [message("user", "")]}, Reason.EMPTY_PROMPT, "messages[0].content"),
    ({"messages": [message("user", "x" * 1001)]}, Reason.PROMPT_TOO_LONG, "1001 characters; at most 1000"),
    ({"messages": [message("tool"), USER]}, Reason.INVALID_MESSAGE, "messages[0].call_id is ''; no call before it"),
    ({"messages": [message("User")]}, Reason.INVALID_MESSAGE, "'User'; there are system, user, assistant, tool"),
    ({"messages": [CALLED, USER]}, Reason.INVALID_MESSAGE, "messages[0] calls 'a', and no 'tool' message"),
    ({"messages": [CALLED, answer("a"), answer("a")]}, Reason.INVALID_MESSAGE, "messages[2].call_id is 'a'; no call"),
    ({"messages": [USER, CALLED]}, Reason.INVALID_MESSAGE, "messages[1] calls 'a', and no 'tool' message"),
    ({"messages": [called("a", "a")]}, Reason.INVALID_MESSAGE, "messages[0].calls has one call_id twice"),
    ({"messages": [called("")]}, Reason.INVALID_MESSAGE, "messages[0].calls[0] has no call_id"),
    ({"messages": [called("a", arguments="[]")]}, Reason.INVALID_MESSAGE, "arguments_json is a JSON array; write an"),
    ({"messages": [called("a", arguments="{")]}, Reason.INVALID_MESSAGE, "arguments_json is no valid JSON"),
    ({"messages": [pb.Message(role="user", content="x", call_id="a")]}, Reason.INVALID_MESSAGE, "only a tool's may"),
    ({"messages": [pb.Message(role="user", calls=CALLED.calls)]}, Reason.INVALID_MESSAGE, "only the assistant's may"),
    ({"messages": [USER, message("system"), USER]}, Reason.INVALID_MESSAGE, "messages[1].role is 'system'"),
    ({"messages": [USER, message("assistant")]}, Reason.INVALID_MESSAGE, "is 'assistant'; the last message's must"),
    ({"messages": [message("system", ""), USER]}, Reason.INVALID_MESSAGE, "messages[0].content is empty"),
    ({"sampling": pb.Sampling(temperature=-0.1)}, Reason.INVALID_SAMPLING, "sampling.temperature is -0.1"),
    ({"sampling": pb.Sampling(temperature=2.1)}, Reason.INVALID_SAMPLING, "from 0 to 2"),
    ({"sampling": pb.Sampling(temperature=NAN)}, Reason.INVALID_SAMPLING, "sampling.temperature is nan"),
    ({"sampling": pb.Sampling(temperature=float("inf"))}, Reason.INVALID_SAMPLING, "inf"),
    ({"sampling": pb.Sampling(top_p=1.5)}, Reason.INVALID_SAMPLING, "sampling.top_p is 1.5"),
    ({"sampling": pb.Sampling(top_p=NAN)}, Reason.INVALID_SAMPLING, "sampling.top_p is nan"),
    ({"sampling": pb.Sampling(top_k=-1)}, Reason.INVALID_SAMPLING, "sampling.top_k is -1"),
    ({"limits": pb.Limits(max_tokens=-1)}, Reason.INVALID_LIMIT, "limits.max_tokens is -1"),
    ({"limits": pb.Limits(max_tokens=100_001)}, Reason.INVALID_LIMIT, "from 1 to 100000"),
    ({"limits": pb.Limits(max_turns=33)}, Reason.INVALID_LIMIT, "limits.max_turns is 33"),
    ({"limits": pb.Limits(max_turns=-1)}, Reason.INVALID_LIMIT, "limits.max_turns is -1"),
    ({"limits": pb.Limits(stop=["x"] * 9)}, Reason.INVALID_LIMIT, "limits.stop has 9 entries"),
    ({"limits": pb.Limits(stop=["x", ""])}, Reason.INVALID_LIMIT, "limits.stop[1] has 0 characters"),
    ({"limits": pb.Limits(stop=["x" * 257])}, Reason.INVALID_LIMIT, "limits.stop[0] has 257 characters"),
    ({"response_json_schema": "[]"}, Reason.INVALID_SCHEMA, "response_json_schema is a JSON array"),
    ({"replay": ["one", ""]}, Reason.INVALID_REPLAY, "replay[1] is empty"),
    ({"replay": ["x"] * 5}, Reason.INVALID_REPLAY, "5 entries, one for each turn, and max_turns is 4"),
    ({"replay": ["x" * 1001]}, Reason.INVALID_REPLAY, "1001 characters"),
    ({"tool_use": pb.ToolUse(format="hermes")}, Reason.INVALID_TOOL_USE, "tool_use.tools is empty"),
    ({"tool_use": pb.ToolUse(tools=["a", "b", "a"])}, Reason.INVALID_TOOL_USE, "tool_use.tools is 'a', a name that"),
    ({"tool_use": pb.ToolUse(tools=["a"], mode=9)}, Reason.INVALID_TOOL_USE, "tool_use.mode is 9; there are SERIAL"),
    ({"tool_use": pb.ToolUse(tools=["a"], choice="b")}, Reason.INVALID_TOOL_USE, "one of 'auto', 'none', 'required'"),
    ({"tool_use": offering("a", "a")}, Reason.INVALID_TOOL_USE, "tool_use.functions[1].name is 'a', a name that"),
    ({"tool_use": offering("a b")}, Reason.INVALID_TOOL_USE, "tool_use.functions[0].name is 'a b'; it must be"),
    ({"tool_use": offering("a", schema="[]")}, Reason.INVALID_SCHEMA, "functions[0].parameters_json_schema is a JSON"),
    (
        {"tool_use": offering(*(f"f{n}" for n in range(129)))},
        Reason.INVALID_TOOL_USE,
        "129 tools and functions; at most",
    ),
    (
        {"tool_use": TOOLS, "response_json_schema": "{}"},
        Reason.INVALID_TOOL_USE,
        "response_json_schema cannot be combined",
    ),
]


@pytest.mark.parametrize(("fields", "reason", "sentence"), WRONG)
def test_refuses_a_wrong_request_and_names_the_culprit(fields, reason, sentence):
    error = refusal(request(**fields))
    assert error.reason is reason
    assert sentence in error.message
    assert has_field(pb.CompleteRequest.DESCRIPTOR, error.field) and error.message.startswith(f"{error.field} ")


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [message("r" * 100_000)]},
        {"tool_use": pb.ToolUse(tools=["t" * 100_000] * 2)},
        {"tool_use": pb.ToolUse(tools=[f"{n}" * 1000 for n in range(500)], choice="x" * 100_000)},
    ],
)
def test_a_sentence_stays_short_whatever_the_value(fields):
    assert len(parse_error(fields).message) < 3000


def parse_error(fields):
    with pytest.raises(ServiceError) as raised:
        parse(request(**fields), 10**9)
    return raised.value


def test_shown_escapes_and_cuts():
    assert shown("a\n\x1b[31m") == repr("a\n\x1b[31m")
    assert len(shown("x" * 10_000)) < 100
    assert len(shown("\x1b" * 10_000)) < 100


def test_listed_says_how_many_more_there_are():
    assert listed([]) == "none"
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed([str(n) for n in range(25)]).endswith("'19' and 5 more")
