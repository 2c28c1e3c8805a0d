"""Tries a format: `python -m tool_service.parse --format NAME` parses what it reads and prints what the parser says.

    text from standard input ─▶ one JSON object a line for each event
    with --jsonl:  {"format": …, "tools": [OpenAI tool objects], "deltas": [text, …], "close": "stop" | "length"}
                   ─▶ {"content": text, "reasoning": text, "calls": [{"name", "arguments", "sealed", "error"}, …]}

Exit codes: 0; 1 if a line of --jsonl was wrong, which is answered by {"error": text}; 2 for wrong options.
"""

import argparse
import codecs
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO, get_args

from tool_service.formats import FORMATS
from tool_service.formats.events import CallMalformed, CallOpened, CallSealed, Event, Reasoning, Text
from tool_service.formats.format import EndReason, Tools

READ_BYTES = 1 << 16
ENDS: tuple[EndReason, ...] = get_args(EndReason)

_BLOCKS = {"code_block": {"code": "print(6 * 7)\n"}, "plan": {"plan": "$1 = search(tea)\n"}}

Say = Callable[[dict[str, Any]], None]


def main() -> int:
    """Parses as the command line says; gives the exit code."""
    options = _options(sys.argv[1:])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    source, target = sys.stdin.buffer, sys.stdout.buffer

    def say(data: dict[str, Any]) -> None:
        target.write(_line(data))
        target.flush()

    try:
        if options.list:
            return _list(say)
        if sys.stdin.isatty():
            print("reading from the terminal; Ctrl-D ends it", file=sys.stderr)
        return _parse_lines(source, say) if options.jsonl else _parse_text(options, source, say)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tool_service.parse",
        description="Parses a turn from standard input and prints what the parser says, one JSON object a line.",
        epilog="--list names the formats. Every other option but --jsonl is for text.",
    )
    parser.add_argument("--format", metavar="NAME", choices=sorted(FORMATS), help="how the calls are written")
    parser.add_argument("--tools", metavar="FILE", type=_tools_file, default={}, help="OpenAI tool objects, as JSON")
    parser.add_argument("--chunk", metavar="N", type=_chunk, help="feed so many characters at a time, not as they come")
    parser.add_argument("--close", choices=ENDS, default="stop", help="how the turn ends; default: stop")
    parser.add_argument("--jsonl", action="store_true", help="read one turn a line, as JSON; print its calls")
    parser.add_argument("--list", action="store_true", help="print the formats and what they look like")
    options = parser.parse_args(arguments)
    if not (options.format or options.jsonl or options.list):
        parser.error("one of --format NAME, --jsonl and --list is needed")
    return options


def _chunk(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of characters, 1 or more")
    return int(text)


def _tools_file(path: str) -> Tools:
    try:
        return tools_of(json.loads(Path(path).read_bytes()))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None


def tools_of(data: Any) -> Tools:
    """The parameters of OpenAI tool objects, by name. Raises `ValueError` that names what is wrong."""
    if not isinstance(data, list):
        raise ValueError("the tools must be a list of OpenAI tool objects")
    tools: dict[str, dict[str, Any]] = {}
    for index, each in enumerate(data):
        function = each.get("function", each) if isinstance(each, dict) else {}
        name = function.get("name") if isinstance(function, dict) else ""
        if not isinstance(name, str) or not name:
            raise ValueError(f"tools[{index}] has no function.name")
        parameters = function.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise ValueError(f"tools[{index}], {name}: function.parameters must be a JSON schema of type object")
        tools[name] = parameters
    return tools


def _list(say: Say) -> int:
    for format_ in FORMATS.values():
        arguments = _BLOCKS.get(format_.name, {"city": "Paris", "days": 3})
        example = format_.write(format_.only_tool or "get_weather", arguments)
        say({"format": format_.name, "description": format_.description, "example": example})
    return 0


def _parse_text(options: argparse.Namespace, source: BinaryIO, say: Say) -> int:
    parser = FORMATS[options.format].parser(options.tools)
    for piece in _pieces(source, options.chunk):
        for event in parser.feed(piece):
            say(_event(event))
    for event in parser.close(options.close):
        say(_event(event))
    return 0


def _pieces(source: BinaryIO, chunk: int | None) -> Iterator[str]:
    """The text as it comes, or in pieces of so many characters. Bytes that are no UTF-8 become U+FFFD."""
    decoder, text = codecs.getincrementaldecoder("utf-8")("replace"), ""
    read = getattr(source, "read1", source.read)
    while data := read(READ_BYTES):
        text += decoder.decode(data)
        end = len(text) if chunk is None else len(text) - len(text) % chunk
        yield from _cut(text[:end], chunk or end)
        text = text[end:]
    yield from _cut(text + decoder.decode(b"", final=True), chunk or READ_BYTES)


def _cut(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def _event(event: Event) -> dict[str, Any]:
    kind = "".join(f"_{char.lower()}" if char.isupper() else char for char in type(event).__name__)[1:]
    return {"event": kind} | {field.name: getattr(event, field.name) for field in fields(event)}


def _parse_lines(source: BinaryIO, say: Say) -> int:
    wrong = False
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            say(_answer(json.loads(line.strip())))
        except json.JSONDecodeError as error:
            wrong = True
            say({"error": f"line {number}: not JSON at character {error.pos + 1}: {error.msg}"})
        except (ValueError, RecursionError) as error:
            wrong = True
            say({"error": f"line {number}: {error}"})
    return int(wrong)


def _answer(turn: Any) -> dict[str, Any]:
    """What comes of one turn. Raises `ValueError` that names what is wrong with it."""
    if not isinstance(turn, dict):
        raise ValueError("a turn must be a JSON object")
    name, deltas, end = turn.get("format"), turn.get("deltas"), turn.get("close", "stop")
    if not isinstance(name, str) or name not in FORMATS:
        raise ValueError(f"unknown format {name!r}; there are: {', '.join(sorted(FORMATS))}")
    if not isinstance(deltas, list) or not all(isinstance(delta, str) for delta in deltas):
        raise ValueError("deltas must be a list of texts")
    if end not in ENDS:
        raise ValueError(f"close is {end!r}; it must be one of {', '.join(ENDS)}")
    parser = FORMATS[name].parser(tools_of(turn.get("tools", [])))
    events = [event for delta in deltas for event in parser.feed(delta)]
    return _summary(events + parser.close(end))


def _summary(events: Sequence[Event]) -> dict[str, Any]:
    calls: list[dict[str, Any]] = []
    for event in events:
        match event:
            case CallOpened():
                calls.append({"name": event.name, "arguments": None, "sealed": False, "error": None})
            case CallSealed():
                calls[event.call] |= {"arguments": event.arguments, "sealed": True}
            case CallMalformed():
                calls[event.call] |= {"error": event.reason}
    return {
        "content": "".join(event.text for event in events if isinstance(event, Text)),
        "reasoning": "".join(event.text for event in events if isinstance(event, Reasoning)),
        "calls": calls,
    }


def _line(data: dict[str, Any]) -> bytes:
    try:
        return json.dumps(data, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # lone surrogates, which only escapes can carry
        return json.dumps(data).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
