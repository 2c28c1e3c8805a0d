"""The grammars, in llguidance's own hands."""

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from tests.unit.tool_service.formats.turns import calls_of, parse
from tool_service.formats import FORMATS
from tool_service.formats.format import ToolSchema

SEARCH = ToolSchema(
    "search",
    "Searches the web.",
    {
        "type": "object",
        "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}, "site": {"$ref": "#/$defs/Site"}},
        "required": ["query"],
        "$defs": {"Site": {"enum": ["news", "books"]}},
    },
)
CLOCK = ToolSchema('say "time"', "Tells the time.", {"type": "object", "properties": {}})
TOOLS = [SEARCH, CLOCK]


class _Bytes:
    """A tokenizer whose tokens are the bytes, and one that ends the turn."""

    eos_token_id = 256
    bos_token_id = None
    tokens = (*(bytes([byte]) for byte in range(256)), b"<|end|>")
    special_token_ids = (256,)

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


TOKENIZER = LLTokenizer(TokenizerWrapper(_Bytes()))


def call(name: str, arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def matcher_after(format_name: str, text: str) -> tuple[LLMatcher, str]:
    """The matcher, and what of the text it did not take."""
    matcher = LLMatcher(TOKENIZER, FORMATS[format_name].grammar(TOOLS))
    assert not matcher.is_error(), matcher.get_error()
    written = text.encode()
    taken = matcher.try_consume_tokens(list(written))
    return matcher, written[taken:].decode()


def allowed(matcher: LLMatcher) -> list[int]:
    bias = matcher.compute_logit_bias()
    return [token for token in range(257) if bias[token]]


VALID = {
    "hermes": [
        f"<tool_call>\n{call('search', {'query': 'a </tool_call> é', 'limit': 3, 'site': 'news'})}\n</tool_call>"
    ],
    "json": [call("search", {"query": 'a "b" {}', "site": "books"}), call('say "time"', {})],
    "code_block": ["```python\nprint(1)\n\ns = '```'\n```", "```python\n# 😀\n  ```\n```"],
}
INVALID = {
    "hermes": [
        ("", "Sure: "),
        ("<tool_call>\n", "\n"),
        ('<tool_call>\n{"name": "', "nope"),
        ('<tool_call>\n{"name": "search", "arguments": {"query": "x"}}\n</tool_call>', "\n<tool_call>"),
    ],
    "json": [
        ("", "```json"),
        ("{", '"arguments"'),
        ("{", " "),
        ('{"name":', '"search"'),
        ('{"name": "search", "arguments": {', "}"),
        ('{"name": "search", "arguments": {"', "nope"),
        ('{"name": "search", "arguments": {"query": "x", "limit": ', '"3"'),
        ('{"name": "search", "arguments": {"query": "x", "site": "', "films"),
        ('{"name": "search", "arguments": {"query": "x",', "  "),
        ('{"name": "search", "arguments": {"query": "x"}', ', "id"'),
        ('{"name": "say \\"time\\"", "arguments": {', '"x"'),
    ],
    "code_block": [("", "print(1)"), ("```", "json"), ("```python\n", "```"), ("```python\nx\n```", "\n")],
}


@pytest.mark.parametrize("name", FORMATS)
def test_is_a_grammar(name: str) -> None:
    assert LLMatcher.validate_grammar(FORMATS[name].grammar(TOOLS), TOKENIZER) == ""


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in VALID.items() for text in texts])
def test_takes_a_valid_call_and_then_only_the_end(name: str, text: str) -> None:
    matcher, rest = matcher_after(name, text)
    assert rest == ""
    assert matcher.is_accepting()
    assert matcher.is_stopped()
    assert allowed(matcher) == [_Bytes.eos_token_id]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in VALID.items() for text in texts])
def test_what_it_takes_is_one_call_to_the_parser(name: str, text: str) -> None:
    ((_, arguments),) = calls_of(parse(name, text))
    assert isinstance(arguments, dict)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in VALID.items() for text in texts])
def test_may_not_end_before_the_call_does(name: str, text: str) -> None:
    matcher, _ = matcher_after(name, text[:-1])
    assert not matcher.is_accepting()
    assert _Bytes.eos_token_id not in allowed(matcher)


@pytest.mark.parametrize(
    ("name", "valid", "wrong"), [(name, *case) for name, cases in INVALID.items() for case in cases]
)
def test_does_not_take_what_is_wrong(name: str, valid: str, wrong: str) -> None:
    assert matcher_after(name, valid)[1] == ""
    assert matcher_after(name, valid + wrong)[1] != ""


BLOCKS = {"code_block": {"code": "print(1)\n"}, "plan": {"plan": "$1 = search(tea)\n"}}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "arguments", [{"query": "green tea"}, {"query": "é 😀", "limit": 3}, {"query": "", "limit": -1, "site": "books"}]
)
def test_takes_what_the_format_writes(name: str, arguments: dict[str, Any]) -> None:
    text = FORMATS[name].write("search", BLOCKS.get(name, arguments))
    matcher, rest = matcher_after(name, text)
    assert rest == ""
    assert matcher.is_accepting()
    assert allowed(matcher) == [_Bytes.eos_token_id]


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - BLOCKS.keys()))
def test_does_not_take_a_call_that_lacks_what_is_required(name: str) -> None:
    text = FORMATS[name].write("search", {"limit": 3})
    assert matcher_after(name, text)[1] != ""


@pytest.mark.parametrize("name", ["hermes", "json"])
def test_needs_a_tool(name: str) -> None:
    with pytest.raises(ValueError, match="at least one tool"):
        FORMATS[name].grammar([])
