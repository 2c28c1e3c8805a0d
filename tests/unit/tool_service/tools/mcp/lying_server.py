"""An MCP server that misbehaves as its first argument says. Written by hand: the SDK would not do this."""

import json
import os
import sys
import threading
import time

KIND = sys.argv[1]
PLAIN = {"name": "plain", "description": "Plain.", "inputSchema": {"type": "object", "properties": {"x": {}}}}


DEEP = '{"items":' * 5_000 + '{"it\\"s": "]}"}' + "}" * 5_000  # more than `json` would write


class Raw:
    """JSON that is written as it is."""

    def __init__(self, text: str) -> None:
        self.text = text


def say(message: object) -> None:
    raw = []
    text = json.dumps({"jsonrpc": "2.0", **message}, default=lambda value: raw.append(value.text) or "RAW")
    sys.stdout.write((text.replace('"RAW"', raw[0]) if raw else text) + "\n")
    sys.stdout.flush()


def tool(name: str, description: str = "A tool.", **schema: object) -> dict:
    return {"name": name, "description": description, "inputSchema": {"type": "object", **schema}}


def string(**keywords: object) -> dict:
    return {"properties": {"text": {"type": "string", **keywords}}}


ODD = [
    tool("fine", **string(pattern="^(a+)+$")),
    tool("fine", "The same once more."),
    tool("look around", "Hid\u200bden \x1b[31mred\x00.", **string(pattern="^(?!b)a", description="\x07bell")),
    tool("look_around", "Its name is that of the one before."),
    tool("x" * 100),
    tool("regex", **string(pattern="(")),
    tool("abroad", properties={"x": {"$ref": "http://127.0.0.1:9/x"}}),
    tool("huge", **string(enum=["y" * 40_000])),
    tool("deep", properties={"x": json.loads('{"items":' * 60 + "{}" + "}" * 60)}),
    tool("bomb", properties={"x": {"$ref": "#/$defs/9"}})
    | {
        "inputSchema": {
            "type": "object",
            "properties": {"x": {"$ref": "#/$defs/9"}},
            "$defs": {"0": {}, **{str(n): {"allOf": [{"$ref": f"#/$defs/{n - 1}"}] * 9} for n in range(1, 10)}},
        }
    },
    tool("odd parameter", properties={"a b": {}}),
    tool("loop", properties={"x": {"$ref": "#/$defs/x"}}, **{"$defs": {"x": {"$ref": "#/$defs/x"}}}),
    tool("wordy", "w" * 10_000),
]


def listing(cursor: object) -> dict:
    match KIND:
        case "thousand":
            return {"tools": [tool(f"t{number}") for number in range(1000)]}
        case "endless_pages":
            page = int(cursor or 0)
            return {"tools": [tool(f"p{page}")], "nextCursor": str(page + 1)}
        case "same_page":
            return {"tools": [PLAIN], "nextCursor": "again"}
        case "long_list":
            return {"tools": [tool(f"t{number}", **string(enum=["z" * 30_000])) for number in range(100)]}
        case "odd":
            return {"tools": ODD}
        case "listing_shape":
            return {"tools": {"plain": 1}}
        case "deep_schema":
            return {"tools": [PLAIN, tool("deep", properties={"x": Raw(DEEP)}), tool("after")]}
        case "output_schema":
            schema = {"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
            return {"tools": [PLAIN | {"outputSchema": schema}]}
    return {"tools": [PLAIN]}


def answer(id_: object, params: dict) -> None:
    text = {"content": [{"type": "text", "text": "fine"}]}
    match KIND:
        case "silent":
            return
        case "shapes":
            say({"id": id_, "result": {"content": "nothing of the kind", "isError": []}})
        case "meta":
            say({"id": id_, "result": {"content": [{"type": "text", "text": json.dumps(params["_meta"])}]}})
        case "wrong_id":
            say({"id": "another", "result": text})
        case "huge":
            say({"id": id_, "result": {"content": [{"type": "text", "text": "x" * (9 << 20)}]}})
        case "no_newline":
            while True:
                os.write(1, b"x" * 65536)
        case "refuse":
            say({"id": id_, "error": {"code": -32000, "message": "no \x1b[31mway"}})
        case "bad_image":
            say({"id": id_, "result": {"content": [{"type": "image", "data": "%%%", "mimeType": "../x"}]}})
        case "output_schema":
            say({"id": id_, "result": {"content": [], "structuredContent": {"x": "a" * 40 + "b"}}})
        case "deep_result":
            say({"id": id_, "result": {"content": [], "structuredContent": {"x": Raw(DEEP)}}})
        case "needs_input":
            say({"id": 99, "method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}})
            say({"id": id_, "result": text})
        case "progress_flood":
            for step in range(500):
                params = {"progressToken": id_, "progress": step, "message": "\x1b[2J" + "m" * 1000}
                say({"method": "notifications/progress", "params": params})
            say({"id": id_, "result": text})
        case _:
            say({"id": id_, "result": text})


def flood(descriptor: int, data: bytes) -> None:
    while True:
        os.write(descriptor, data)


def main() -> None:
    if KIND == "mute":
        time.sleep(600)
    if KIND == "stderr":
        threading.Thread(target=flood, args=(2, b"e" * 65536), daemon=True).start()
    if KIND == "garbage":
        flood(1, b"what is this?\n")
    print("Welcome to this server!", flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "initialize":
                info = {"name": "liar", "version": "1"}
                result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
                say({"id": message["id"], "result": result})
            case "tools/list" if KIND == "listing_mute":
                pass
            case "tools/list":
                say({"id": message["id"], "result": listing(message.get("params", {}).get("cursor"))})
                if KIND == "deaf":
                    time.sleep(600)
                if KIND == "chatter":
                    flood(1, b'{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}\n')
            case "tools/call":
                answer(message["id"], message["params"])
            case _ if "id" in message and "method" in message:
                say({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})


main()
