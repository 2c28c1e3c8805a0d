"""What answers look like, as JSON schemas: those of OpenAI's objects as far as we fill them, and ours."""

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
ANY_OBJECT: Schema = {"type": "object"}


def of(properties: dict[str, Schema], *, optional: Iterable[str] = (), closed: bool = True) -> Schema:
    """An object. `closed`: it has nothing else."""
    left_out = set(optional)
    required = [name for name in properties if name not in left_out]
    more: Schema = {"additionalProperties": False} if closed else {}
    return {"type": "object", "properties": properties, "required": required, **more}


def named(name: str) -> Schema:
    """A schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def many(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def one_of(*values: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(values)}


def streamed(data: Schema, *, kind: Schema | None = None, number: Schema | None = None) -> Schema:
    """A server-sent event whose data is `data` as JSON."""
    fields = {"event": kind, "id": number}
    return of(
        {
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
            **{name: schema for name, schema in fields.items() if schema is not None},
        },
        closed=False,  # who reads a stream says `event: message` where nothing is said
    )


def or_null(schema: Schema) -> Schema:
    """Or nothing."""
    return {"anyOf": [schema, {"type": "null"}]}


_TIMES = ("completion", "decode", "tool", "hidden", "serial", "ideal")
_LEDGER = of({f"{name}_seconds": SECONDS for name in _TIMES} | {"attained": or_null(NUMBER)})
_USAGE = of(
    {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "prompt_tokens_details": of({"cached_tokens": COUNT}),
    }
)
_CALL = of({"id": TEXT, "type": one_of("function"), "function": of({"name": TEXT, "arguments": TEXT})})
_HOSTED_CALL = of(
    {"id": TEXT, "name": TEXT, "arguments": TEXT, "result": TEXT, "error": TEXT},
    optional=("arguments", "result", "error"),
)
_MESSAGE = of(
    {
        "role": one_of("assistant"),
        "content": or_null(TEXT),
        "refusal": {"type": "null"},
        "tool_calls": many(_CALL),
        "reasoning_content": TEXT,
    },
    optional=("tool_calls", "reasoning_content"),
)
_CHAT = of(
    {
        "id": TEXT,
        "object": one_of("chat.completion"),
        "created": COUNT,
        "model": TEXT,
        "choices": many(
            of(
                {
                    "index": COUNT,
                    "message": _MESSAGE,
                    "logprobs": {"type": "null"},
                    "finish_reason": one_of("stop", "length", "tool_calls"),
                }
            )
        ),
        "usage": _USAGE,
        "conveyor": of({"ledger": named("Ledger"), "calls": many(_HOSTED_CALL)}),
    }
)
_ITEM = of(
    {
        "id": TEXT,
        "type": one_of("message", "reasoning", "function_call", "code_interpreter_call", "mcp_call"),
    },
    closed=False,
)
_RESPONSE = of(
    {
        "id": TEXT,
        "object": one_of("response"),
        "created_at": COUNT,
        "status": one_of("completed", "incomplete"),
        "error": {"type": "null"},
        "incomplete_details": or_null(of({"reason": one_of("max_output_tokens")})),
        "model": TEXT,
        "output": many(_ITEM),
        "usage": ANY_OBJECT,
        "parallel_tool_calls": {"type": "boolean"},
        "conveyor": of({"ledger": named("Ledger")}),
    },
    closed=False,
)
_SUMMARY_FIELDS: dict[str, Schema] = {
    "id": TEXT,
    "begun_at": SECONDS,
    "state": one_of("running", "finished", "failed"),
    "prompt": TEXT,
    "mode": TEXT,
    "tools": many(TEXT),
    "finish_reason": or_null(TEXT),
    "error": or_null(of({"code": TEXT, "message": TEXT, "param": TEXT}, optional=("param",))),
    "ledger": or_null(named("Ledger")),
    "cut": {"type": "boolean"},
}
_TOOL = of(
    {
        "name": TEXT,
        "description": TEXT,
        "parameters_json_schema": TEXT,
        "effect": one_of("none", "read", "idempotent", "write", ""),
        "partial": {"type": "boolean"},
        "timeout_seconds": SECONDS,
    },
    optional=("timeout_seconds",),
    closed=False,
)
_FORMAT = of({"name": TEXT, "description": TEXT}, closed=False)
_TRACE = of({"displayTimeUnit": TEXT, "traceEvents": many(ANY_OBJECT), "otherData": ANY_OBJECT})
_FAILURE = of({"message": TEXT, "type": TEXT, "param": or_null(TEXT), "code": TEXT})
_CHUNK = of(
    {"id": TEXT, "object": one_of("chat.completion.chunk"), "created": COUNT, "choices": many(ANY_OBJECT)}, closed=False
)
_DONE = of({"data": one_of("[DONE]")}, closed=False)

ANSWERS: dict[str, Schema] = {
    "ErrorAnswer": of({"error": _FAILURE}),
    "Ledger": _LEDGER,
    "ChatAnswer": _CHAT,
    "ResponseAnswer": _RESPONSE,
    "EventOfChat": {"anyOf": [streamed(_CHUNK), streamed(named("ErrorAnswer")), _DONE]},
    "EventOfResponse": streamed(of({"type": TEXT, "sequence_number": COUNT}, closed=False), kind=TEXT),
    "EventOfCompletion": streamed(ANY_OBJECT, kind=TEXT, number=TEXT),
    "ModelsAnswer": of(
        {
            "object": one_of("list"),
            "data": many(of({"id": TEXT, "object": one_of("model"), "created": COUNT, "owned_by": TEXT})),
        }
    ),
    "ToolsAnswer": of({"tools": many(_TOOL), "formats": many(_FORMAT)}),
    "StartedAnswer": of({"id": TEXT}),
    "Summary": of(_SUMMARY_FIELDS),
    "SummariesAnswer": of({"completions": many(named("Summary"))}),
    "CompletionAnswer": of(
        {**_SUMMARY_FIELDS, "request": ANY_OBJECT, "events": many(of({"at_seconds": SECONDS}, closed=False))},
    ),
    "TraceAnswer": _TRACE,
    "HealthAnswer": of({"alive": {"type": "boolean"}}),
    "ReadyAnswer": of(
        {"ready": {"type": "boolean"}, "draining": {"type": "boolean"}, "missing": many(one_of("decoder", "tools"))}
    ),
}
