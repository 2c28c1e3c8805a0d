"""Bodies that would take long to refuse."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import handling
from gateway.failures import MAX_TOLD, HttpFailure
from gateway.native.body import CompletionRequest
from gateway.openai.responses_request import ResponsesRequest

MESSAGES = [{"role": "user", "content": "x"}]
MOST = 8 << 20


class Sent:
    """A request with a body, in pieces."""

    def __init__(self, body: str, size: int = 65_536) -> None:
        self._body, self._size = body.encode(), size

    async def stream(self) -> AsyncIterator[bytes]:
        for place in range(0, len(self._body), self._size):
            yield self._body[place : place + self._size]


async def refusal(body: object, kind: type[handling.Body] = CompletionRequest) -> HttpFailure:  # type: ignore[assignment]
    with pytest.raises(HttpFailure) as raised:
        await handling.read(kind, Sent(body if isinstance(body, str) else json.dumps(body)), MOST)  # type: ignore[arg-type]
    return raised.value


async def test_a_crowd_of_values_is_refused_before_each_is_looked_at() -> None:
    for crowd in ({f"k{n}": 1 for n in range(handling.MAX_VALUES)}, [{}] * handling.MAX_VALUES):
        failure = await refusal({"messages": MESSAGES, "more": crowd})
        assert (failure.status, failure.code) == (413, "too_large") and str(handling.MAX_VALUES) in failure.message


async def test_many_mistakes_are_counted_and_few_are_told() -> None:
    failure = await refusal({"model": "m", "input": [{f"k{n}": 1 for n in range(MAX_TOLD)}]}, ResponsesRequest)
    assert (failure.status, failure.param) == (400, None) and "fields and items are wrong" in failure.message
    failure = await refusal({"messages": MESSAGES, "odd": 1, "limits": {"max_tokens": "x"}})
    assert failure.param in ("odd", "limits.max_tokens")


async def test_text_may_be_as_long_and_as_full_of_marks_as_it_likes() -> None:
    text = '[{,"\\' * handling.MAX_VALUES
    sent = Sent(json.dumps({"messages": [{"role": "user", "content": text}]}))
    read = await handling.read(CompletionRequest, sent, MOST)  # type: ignore[arg-type]
    assert read.messages[0].content == text


JSON = st.recursive(st.none() | st.text() | st.integers(), lambda of: st.lists(of) | st.dictionaries(st.text(), of))


@given(JSON, st.sampled_from([None, 2]))
def test_marks_inside_of_texts_are_no_values(value: object, indent: int | None) -> None:
    def marks(each: object) -> int:
        inner = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        return isinstance(each, dict | list) + max(0, len(inner) - 1) + sum(map(marks, inner))  # type: ignore[arg-type]

    bare = handling._TEXTS.sub(
        b"", json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
    assert handling._value_count(bare) == marks(value)
