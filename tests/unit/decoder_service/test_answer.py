"""Answers that follow a JSON schema: what is written fits it, and what no grammar can follow is refused and told."""

import json
import random
from typing import Any

import jsonschema
import pytest
from llguidance import LLMatcher

from decoder_service.text.answer import answer_grammar
from protos.schemas import validation
from protos.schemas.reading import UnenforceableError
from tests.unit.tool_service.formats.test_constrained import DEFINITIONS, FORMAT_CHECKER, Schemas, Walk
from tests.unit.tool_service.formats.test_grammar import TOKENIZER
from tests.unit.tool_service.formats.test_schemas import UNENFORCEABLE

SCHEMAS, WALKS = 60, 3


def grammar_of(schema: Any) -> str:
    text = answer_grammar(json.dumps(schema))
    assert text.kind == "json_schema"
    return LLMatcher.grammar_from_json_schema(json.loads(text.text))


def takes(schema: Any, value: Any) -> bool:
    """Whether the answer may be this value."""
    matcher = LLMatcher(TOKENIZER, grammar_of(schema))
    assert not matcher.is_error(), matcher.get_error()
    written = json.dumps(value, ensure_ascii=False).encode()
    return matcher.try_consume_tokens(list(written)) == len(written) and matcher.is_accepting()


def test_what_a_grammar_allows_fits_the_schema() -> None:
    luck, ended, refused = random.Random("answers"), 0, 0
    for _ in range(SCHEMAS):
        drawn = Schemas(luck)
        schema = luck.choice([drawn.parameters, drawn.with_free_keys, drawn.any_value])() | {"$defs": DEFINITIONS}
        validator = jsonschema.Draft202012Validator(schema, format_checker=FORMAT_CHECKER)
        try:
            grammar = grammar_of(schema)
        except UnenforceableError:
            refused += 1
            continue
        for _ in range(WALKS):
            sentence = Walk(grammar, luck, repetition=0.3).sentence()
            ended += sentence is not None
            error = None if sentence is None else next(validator.iter_errors(json.loads(sentence)), None)
            assert error is None, (sentence, schema)
    assert refused <= SCHEMAS // 10
    assert ended > 0.9 * WALKS * (SCHEMAS - refused)


X_AND_Y = {
    "allOf": [{"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}],
    "properties": {"y": {"type": "integer"}},
    "required": ["y"],
    "unevaluatedProperties": False,
}
DRAFT_4 = "http://json-schema.org/draft-04/schema"
FITTING: list[tuple[Any, Any]] = [
    ({}, {"any": ["thing", 1.5, None]}),
    ({"type": "object"}, {"any": {"key": True}}),
    ({"type": "boolean"}, True),
    (X_AND_Y, {"y": 1, "x": 2}),
    ({"type": "object", "unevaluatedProperties": False}, {}),
    ({"type": "object", "patternProperties": {"^a+$": {"type": "null"}}, "unevaluatedProperties": False}, {"aa": None}),
    ({"enum": ["a", 3, {"b": []}]}, {"b": []}),
    ({"type": "array", "items": [{"type": "null"}]}, [None, "more"]),
    ({"$schema": f"{DRAFT_4}#", "type": "number", "minimum": 1, "exclusiveMinimum": True}, 1.5),
    ({"$schema": "https://example.com/of/ours", "type": "string", "format": "of ours"}, "text"),
    (
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
        [[], [[]]],
    ),
]


@pytest.mark.parametrize(("schema", "value"), FITTING)
def test_an_answer_may_be_what_the_schema_allows(schema: Any, value: Any) -> None:
    assert takes(schema, value)


def test_an_answer_is_compact_and_without_what_the_schema_does_not_speak_of() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    assert takes(schema, {"a": 1, "b": 2})
    assert not takes(schema, {"c": 1})
    matcher = LLMatcher(TOKENIZER, grammar_of(schema))
    assert matcher.try_consume_tokens(list(b'{"a":1}')) == len(b'{"a":')


@pytest.mark.parametrize(("schema", "keyword"), UNENFORCEABLE)
def test_what_no_grammar_enforces_is_refused_by_keyword_and_place(schema: dict[str, Any], keyword: str) -> None:
    inner = {"type": "object", "properties": {"it": schema}}
    with pytest.raises(UnenforceableError) as refused:
        answer_grammar(json.dumps(inner))
    assert str(refused.value).startswith(f"property 'it': {keyword}: ")
    with pytest.raises(UnenforceableError) as refused:
        answer_grammar(json.dumps(schema))
    assert str(refused.value).startswith(f"{keyword}: ")


def doubling(length: int) -> dict[str, Any]:
    """A schema of two of the next one each, so many times."""
    links = {f"a{at}": {"properties": {key: {"$ref": f"#/$defs/a{at + 1}"} for key in "lr"}} for at in range(length)}
    return {"allOf": [{"$ref": "#/$defs/a0"}] * 2, "$defs": {**links, f"a{length}": {"type": "integer"}}}


@pytest.mark.parametrize(
    "schema",
    [
        doubling(40),
        {"allOf": [{"type": "integer", "multipleOf": 9973}, {"type": "integer", "multipleOf": 9967}]},
        {"allOf": [{"enum": list(range(3000))}, {"enum": list(range(3000, 6000))}]},
        {"type": "integer", "minimum": 10**400},
    ],
    ids=["shared parts", "steps", "choices", "a bound of no float"],
)
def test_what_would_take_too_long_or_is_too_large_is_refused(schema: Any) -> None:
    with pytest.raises(UnenforceableError):
        answer_grammar(json.dumps(schema))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "malformed: Expecting property name"),
        ("[]", "malformed: it is no object"),
        ("[" * 100_000, "malformed: maximum recursion depth"),
        ('{"minimum": NaN}', "malformed: NaN is not JSON"),
        ('{"minimum": 1e400}', "malformed: "),
        ('{"type": "nonsense"}', "malformed: "),
        ('{"required": 5}', "malformed: 5 is not of type"),
        ('{"properties": {"a": {"minLength": "x"}}}', "malformed: "),
        ('{"type": "integer", "minimum": 3, "maximum": 2}', "nothing fits it"),
        ('{"enum": []}', "nothing fits it"),
    ],
)
def test_what_is_no_schema_or_allows_nothing_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UnenforceableError) as refused:
        answer_grammar(text)
    assert str(refused.value).startswith(problem)


def test_what_is_unevaluated_may_not_come() -> None:
    assert not takes(X_AND_Y, {"y": 1, "x": 2, "z": 3})
    assert not takes({"type": "object", "unevaluatedProperties": False}, {"z": 3})


def test_an_anchor_is_refused() -> None:
    with pytest.raises(UnenforceableError, match="is an anchor"):
        answer_grammar(json.dumps({"$ref": "#foo", "$defs": {"foo": {"$anchor": "foo", "type": "integer"}}}))


@pytest.mark.parametrize("pattern", [r"^\p{L}{1,40}$", r"^[\p{L} '-]{1,50}$", "^.{1,5000}$", "^[^<>]{1,2000}$"])
def test_a_pattern_may_be_long(pattern: str) -> None:
    assert takes({"type": "string", "pattern": pattern}, "Zoë")


def test_patterns_are_compiled_once_and_so_many_at_most() -> None:
    words = [f"word{number}" for number in range(2000)]
    validation._whole.cache_clear()
    assert takes({"type": "string", "pattern": r"^\p{L}{1,20}\d+$", "enum": words}, "word7")
    assert validation._whole.cache_info().misses == 1
    many = {f"key{number}": {"type": "string", "pattern": f"^a{{1,{number + 1}}}$"} for number in range(250)}
    with pytest.raises(UnenforceableError, match="parts too many"):
        answer_grammar(json.dumps({"type": "object", "properties": many}))
