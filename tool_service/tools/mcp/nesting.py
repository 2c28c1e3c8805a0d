"""Messages that are nested deeper than they can be read.

What answers a request must not be lost: whoever asked would wait in vain, and a server whose list of tools is not read
is given up as a whole. So what is too deep is cut out of a list, where the tool that has it is then left out for its
depth, and fails any other request, that one alone.
"""

import re

from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter

MAX_DEPTH = 150  # the parser's own limit is 200; a schema's is far below
MAX_CUT_BYTES = 1 << 19  # of a message that is looked through, which takes its time

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def read_deep(line: bytes) -> JSONRPCMessage:
    """The answer that a line is, or an error in its place. Raises ValueError where it is none, or is too long."""
    if len(line) > MAX_CUT_BYTES:
        raise ValueError(f"it has more than {MAX_CUT_BYTES} bytes")
    message = jsonrpc_message_adapter.validate_json(_without_depths(line), by_name=False)
    if isinstance(message, JSONRPCResponse):
        if isinstance(message.result.get("tools"), list):
            return message
        error = ErrorData(code=PARSE_ERROR, message=f"the answer is nested more than {MAX_DEPTH} deep")
        return JSONRPCError(jsonrpc="2.0", id=message.id, error=error)
    raise ValueError("it is no answer")


def _without_depths(line: bytes) -> bytes:
    """JSON with `null` in the place of what is nested too deep."""
    kept, depth, start = [], 0, 0
    for token in _TOKEN.finditer(line):
        if token[0] in b"[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept.append(line[start : token.start()] + b"null")
        elif token[0] in b"]}":
            depth -= 1
            if depth == MAX_DEPTH:
                start = token.end()
    return b"".join(kept) + (line[start:] if depth <= MAX_DEPTH else b"")
