"""The command that tries a format, as a process."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "tool_service.parse")
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"n": {"type": "string"}}}}}


def run(*options: str, text: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    given = text if isinstance(text, bytes) else text.encode()
    return subprocess.run([*COMMAND, *options], input=given, capture_output=True, timeout=30, check=False)


def lines(*options: str, text: str | bytes = "") -> list[Any]:
    done = run(*options, text=text)
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.splitlines()]


def turn(**parts: Any) -> str:
    return json.dumps({"format": "hermes", "deltas": []} | parts) + "\n"


def test_prints_the_events_of_a_text() -> None:
    text = '<think>hm</think>é<tool_call>{"name": "f", "arguments": {"a": "x", "b": 1}}</tool_call>'
    for options in ([], ["--chunk", "1000"]):
        assert lines("--format", "hermes", *options, text=text) == [
            {"event": "reasoning", "text": "hm"},
            {"event": "text", "text": "é"},
            {"event": "call_opened", "call": 0, "name": "f"},
            {"event": "argument_opened", "call": 0, "name": "a"},
            {"event": "string_delta", "call": 0, "name": "a", "text": "x"},
            {"event": "argument_sealed", "call": 0, "name": "a", "value": "x"},
            {"event": "argument_sealed", "call": 0, "name": "b", "value": 1},
            {"event": "call_sealed", "call": 0, "arguments": {"a": "x", "b": 1}},
        ]


def test_feeds_so_many_characters_at_a_time() -> None:
    assert lines("--format", "hermes", "--chunk", "2", text="äöüß!") == [
        {"event": "text", "text": text} for text in ("äö", "üß", "!")
    ]


def test_the_end_of_the_turn_can_be_chosen() -> None:
    assert lines("--format", "code_block", text="```python\nx")[-1]["event"] == "call_sealed"
    cut = lines("--format", "code_block", "--close", "length", text="```python\nx")[-1]
    assert cut == {
        "event": "call_malformed",
        "call": 0,
        "reason": "the text ended inside the call",
        "incomplete": True,
    }


def test_the_tools_schemas_tell_the_types(tmp_path: Path) -> None:
    text = "<tool_call>f<arg_key>n</arg_key><arg_value>1</arg_value></tool_call>"
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([TOOL]))
    assert lines("--format", "glm47", text=text)[-1]["arguments"] == {"n": 1}
    assert lines("--format", "glm47", "--tools", str(tools), text=text)[-1]["arguments"] == {"n": "1"}


def test_bytes_that_are_no_text_are_replaced() -> None:
    said = lines("--format", "hermes", text=b"a\xff\xf0\x9f")
    assert "".join(event["text"] for event in said) == "a\ufffd\ufffd"


def test_a_summary_for_each_line() -> None:
    call = '<tool_call>{"name": "f", "arguments": {"a": %s}}</tool_call>'
    given = turn(deltas=["<think>a</think>", "x", call % 1, call % "x", '<tool_call>{"name": "g"'], close="length")
    assert lines("--jsonl", text=given + "\n" + turn(tools=[TOOL])) == [
        {
            "content": "x",
            "reasoning": "a",
            "calls": [
                {"name": "f", "arguments": {"a": 1}, "sealed": True, "error": None},
                {
                    "name": "f",
                    "arguments": None,
                    "sealed": False,
                    "error": "the call is not JSON: a value was expected",
                },
                {"name": "g", "arguments": None, "sealed": False, "error": "the text ended inside the call"},
            ],
        },
        {"content": "", "reasoning": "", "calls": []},
    ]


def test_lone_surrogates_come_through() -> None:
    assert lines("--jsonl", text=turn(deltas=["a\ud800"])) == [{"content": "a\ud800", "reasoning": "", "calls": []}]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("[1", "not JSON at character 3"),
        ("[" * 100_000, "recursion"),
        ("[]", "a turn must be a JSON object"),
        ('{"format": "nope"}', "unknown format 'nope'; there are: code_block, "),
        ('{"format": "json", "deltas": "x"}', "deltas must be a list of texts"),
        ('{"format": "json", "deltas": [], "close": "end"}', "close is 'end'; it must be one of stop, length, veto"),
        ('{"format": "json", "deltas": [], "tools": {}}', "the tools must be a list"),
        ('{"format": "json", "deltas": [], "tools": [{}]}', "tools[0] has no function.name"),
        ('{"format": "json", "deltas": [], "tools": [{"name": "f", "parameters": 1}]}', "tools[0], f: function.param"),
    ],
)
def test_a_wrong_line_is_answered_and_the_others_are_read(line: str, error: str) -> None:
    done = run("--jsonl", text=turn() + line + "\n" + turn())
    first, answer, last = map(json.loads, done.stdout.splitlines())
    assert first == last == {"content": "", "reasoning": "", "calls": []}
    assert answer["error"].startswith("line 2: ")
    assert error in answer["error"]
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "one of --format NAME, --jsonl and --list is needed"),
        (["--format", "nope"], "invalid choice: 'nope'"),
        (["--format", "json", "--chunk", "0"], "'0' is not a number of characters, 1 or more"),
        (["--format", "json", "--tools", "/nope.json"], "/nope.json: No such file or directory"),
        (["--format", "json", "--tools", __file__], "test_parse.py: Extra data"),
    ],
)
def test_wrong_options_are_refused(options: list[str], error: str) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert error in done.stderr.decode()


def test_lists_the_formats() -> None:
    listed = lines("--list")
    assert {"hermes", "plan"} <= {line["format"] for line in listed}
    given = [json.dumps({"format": line["format"], "deltas": [line["example"]]}) for line in listed]
    for summary in lines("--jsonl", text="\n".join(given)):
        assert [call["sealed"] for call in summary["calls"]] == [True]
        assert summary["content"] == ""


def test_says_what_is_known_while_more_is_coming_and_stops_when_told() -> None:
    with subprocess.Popen([*COMMAND, "--format", "hermes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"Hello <tool")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"event": "text", "text": "Hello "}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stdout.read() == b""
