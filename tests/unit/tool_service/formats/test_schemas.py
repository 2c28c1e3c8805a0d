"""JSON schemas as grammars follow them: patterns in another dialect, what is refused, and why."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from protos.schemas.patterns import whole_pattern
from protos.schemas.reading import UnenforceableError
from protos.schemas.string_formats import PATTERNS
from tests.unit.tool_service.formats.test_grammar import TOKENIZER
from tool_service.formats import FORMATS
from tool_service.formats.constrained import call_grammar
from tool_service.formats.format import ToolSchema


def tool_with(schema: Any, name: str = "it", *, required: bool = True) -> ToolSchema:
    wanted = {"required": [name]} if required else {}
    return ToolSchema("do", "", {"type": "object", "properties": {name: schema}, **wanted})


def takes(format_name: str, tool: ToolSchema, arguments: dict[str, Any]) -> bool:
    """Whether the format's grammar allows the call that the format writes."""
    format_ = FORMATS[format_name]
    matcher = LLMatcher(TOKENIZER, call_grammar(format_, [tool]))
    assert not matcher.is_error(), matcher.get_error()
    written = format_.write("do", arguments).encode()
    return matcher.try_consume_tokens(list(written)) == len(written) and matcher.is_accepting()


# The dialects agree on these: the pattern is found, or not, by Python's `re` too.
SEARCHES = [
    ("a|b", ["xbx", "c"]),
    ("^a|b$", ["ax", "xb", "xa", "bx"]),
    ("^(a|b)$", ["a", "b", "ab", "xa"]),
    ("(^a$|^b$)", ["a", "b", "ab"]),
    ("^(?:(?:x|y)z)+$", ["xzyz", "xz ", "x"]),
    ("^(?<name>a)b$", ["ab", "a"]),
    (r"^\d{2,}$", ["12", "1", "1x"]),
    (r"^[^\d\s]+$", ["ab", "a1", "a b"]),
    (r"^[\w.-]+@x$", ["a-b.c@x", "@x", "ä@y"]),
    (r"^[[\]]$", ["[", "]", "x"]),
    ("^[a&&b]$", ["&", "a", "b", "c"]),
    ("^[~~x]$", ["~", "x", "y"]),
    (r"^\/a\/$", ["/a/", "a"]),
    (r"^\x41\u0042$", ["AB", "ab"]),
    ("^a.b$", ["axb", "a\nb", "a\rb", "a\u2028b"]),
    (r"^a\$b\^$", ["a$b^", "ab"]),
    ("^a{2}b{1,}c{0,1}$", ["aab", "aabbc", "ab"]),
    ("^a*?b+?$", ["aab", "a"]),
    (r"^[\b]$", ["\b", "b"]),
    ("", ["", "anything\nat all"]),
    ("^$", ["", "x"]),
    (r"^\\$", ["\\", "x"]),
    (r"^[(?:{2}]+$", ["(?:{2}", "x"]),
]


@pytest.mark.parametrize(("pattern", "texts"), SEARCHES)
def test_a_pattern_matches_whole_what_it_is_found_in(pattern: str, texts: list[str]) -> None:
    grammar = f"start: T\nT: /{whole_pattern(pattern).replace('/', chr(92) + '/')}/\n"
    for text in texts:
        searched = pattern.replace("(?<", "(?P<").replace("[[", r"[\[").replace("&&", "&").replace("~~", "~")
        expected = bool(re.search(searched, text)) and not (pattern == "^a.b$" and text != "axb")
        matcher = LLMatcher(TOKENIZER, grammar)
        written = list(text.encode())
        taken = matcher.try_consume_tokens(written) == len(written) and matcher.is_accepting()
        assert taken == expected, text


@pytest.mark.parametrize(
    "pattern", ["^(?=a)b$", "(?!a)", r"\bx", r"^(a)\1$", "a(^b)", "a$b", "(?i)a", "[", "[]", "[^]", r"\k", "^(a$)+"]
)
def test_a_pattern_that_is_not_regular_or_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        whole_pattern(pattern)


UNENFORCEABLE = [
    ({"not": {"type": "null"}}, "not"),
    ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "uniqueItems"),
    ({"type": "array", "contains": {"const": 1}}, "contains"),
    ({"if": {"type": "null"}, "then": {}}, "if"),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ({"type": "string", "pattern": "^(?=a)"}, "pattern"),
    ({"type": "string", "pattern": "a{3,2}"}, "pattern"),
    ({"allOf": [{"anyOf": [{"type": "string", "pattern": f"{a}{b}"} for a in "abcd"]} for b in "abcd"]}, "anyOf"),
    ({"type": "number", "multipleOf": 0.07}, "multipleOf"),
    ({"type": "integer", "multipleOf": 1_000_003}, "multipleOf"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
    ({"$ref": "other.json#/x"}, "$ref"),
    ({"$ref": "#/$defs/nothing"}, "$ref"),
    ({"type": "object", "minProperties": 3}, "minProperties"),
    ({"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1}, "maxProperties"),
    ({"type": "object", "patternProperties": {"a": {}, "b": {}}}, "patternProperties"),
    ({"type": "object", "propertyNames": {"minLength": 3}}, "propertyNames"),
]


@pytest.mark.parametrize(("schema", "keyword"), UNENFORCEABLE)
@pytest.mark.parametrize("format_name", ["hermes", "glm47", "functiongemma", "pythonic"])
def test_what_no_grammar_enforces_is_refused_by_tool_argument_and_keyword(
    format_name: str, schema: dict[str, Any], keyword: str
) -> None:
    for tool in (tool_with(schema), tool_with({"type": "array", "items": {"anyOf": [schema]}}, required=False)):
        with pytest.raises(UnenforceableError) as refused:
            call_grammar(FORMATS[format_name], [tool])
        assert str(refused.value).startswith(f"tool 'do', argument 'it': {keyword}: ")


def test_the_path_to_a_part_of_an_argument_is_told() -> None:
    inner = {"type": "object", "properties": {"deep": {"not": {}}}}
    with pytest.raises(UnenforceableError, match=re.escape("tool 'do', argument 'it.deep': not: ")):
        call_grammar(FORMATS["hermes"], [tool_with({"type": "array", "items": inner})])


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "integer", "minimum": 10**30},
        {"enum": ["a"], "type": "integer"},
        {"allOf": [{"type": "integer"}, {"type": "string"}]},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "object", "properties": {"a": {"$ref": "#/properties/it"}}, "required": ["a"]},  # without an end
    ],
)
@pytest.mark.parametrize("format_name", ["hermes", "glm47", "functiongemma", "pythonic"])
def test_an_argument_that_nothing_fits_is_refused_or_left_out(format_name: str, schema: Any) -> None:
    with pytest.raises(UnenforceableError, match=r"tool 'do', argument 'it': nothing fits"):
        call_grammar(FORMATS[format_name], [tool_with(schema)])
    assert takes(format_name, tool_with(schema, required=False), {})


LISTED = {"type": "object", "properties": {"a": {}, 'b"c': {"type": "integer"}, "gone": False}}
WITH_MORE: list[dict[str, Any]] = [
    LISTED | {"additionalProperties": {"type": "integer"}, "required": ["a", "z"]},
    LISTED | {"patternProperties": {"^.*$": {"type": "integer"}}},
    {"allOf": [LISTED, {"additionalProperties": {"type": "integer"}}]},
]


@pytest.mark.parametrize("schema", WITH_MORE)
@pytest.mark.parametrize("format_name", ["hermes", "pythonic"])  # others write no more keys beside listed ones
def test_only_keys_that_are_not_listed_come_again(format_name: str, schema: dict[str, Any]) -> None:
    format_ = FORMATS[format_name]
    listed = dict.fromkeys([*schema.get("required", ["a"])], 1)
    matcher = LLMatcher(TOKENIZER, call_grammar(format_, [tool_with(schema)]))
    again = []
    for name in ("free1", "a", 'b"c', "gone", "z"):
        text = format_.write("do", {"it": {**listed, "free1": 1, "free2": 2}})
        text_again = text.replace("free2", json.dumps(name)[1:-1]).encode()
        if matcher.deep_copy().try_consume_tokens(list(text_again)) == len(text_again):
            again.append(name)
    assert again == (["free1"] if "z" in listed else ["free1", "z"])


def chain(length: int, part: Callable[[dict[str, str]], dict[str, Any]]) -> dict[str, Any]:
    """Definitions that each refer to the next one."""
    links = {f"a{at}": part({"$ref": f"#/$defs/a{at + 1}"}) for at in range(length)}
    return {"$defs": {**links, f"a{length}": {"type": "integer"}}}


TWO = {"allOf": [{"$ref": "#/$defs/a0"}, {"$ref": "#/$defs/a0"}]}


@pytest.mark.parametrize(
    ("schema", "more"),
    [
        ({"allOf": [{"type": "integer", "multipleOf": 9973}, {"type": "integer", "multipleOf": 9967}]}, {}),
        ({"allOf": [{"enum": list(range(3000))}, {"enum": list(range(3000, 6000))}]}, {}),
        (TWO, chain(40, lambda next_: {"type": "object", "properties": {"left": next_, "right": next_}})),
        ({"$ref": "#/$defs/a0"}, chain(300, lambda next_: {"type": "object", "properties": {"next": next_}})),
        ({"type": "integer", "exclusiveMinimum": 10**400}, {}),
        ({"type": "integer", "minimum": 10**400}, {}),
        ({"multipleOf": 10**400}, {}),
    ],
    ids=["steps", "choices", "shared parts", "a long chain", "beyond a float", "a bound of no float", "a step of none"],
)
def test_what_would_take_too_long_or_is_too_large_is_refused(schema: Any, more: dict[str, Any]) -> None:
    tool = tool_with(schema)
    with pytest.raises(UnenforceableError, match="tool 'do'"):
        call_grammar(FORMATS["hermes"], [replace(tool, parameters={**tool.parameters, **more})])


@pytest.mark.parametrize("format_name", ["hermes", "qwen3_coder", "functiongemma", "pythonic"])
def test_counts_may_be_written_as_floats(format_name: str) -> None:
    tool = tool_with({"type": "string", "minLength": 1.0, "maxLength": 2.0})
    assert [takes(format_name, tool, {"it": "x" * count}) for count in range(4)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("schema", "fitting", "unfit"),
    [
        ({"enum": ["a", "b"], "const": "a"}, "a", "b"),
        (
            {"type": "array", "items": {"anyOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]}, "uniqueItems": True},
            ["a", "b"],
            ["b", "b"],
        ),
        (
            {
                "allOf": [
                    {
                        "type": "object",
                        "oneOf": [
                            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
                        ],
                    },
                    {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
                ]
            },
            {"a": 1},
            {"a": 1, "b": 2},
        ),
    ],
    ids=["enum and const", "a choice that is listed twice", "choices told apart by their names"],
)
def test_keywords_that_meet_count_both(schema: Any, fitting: Any, unfit: Any) -> None:
    assert takes("hermes", tool_with(schema), {"it": fitting})
    assert not takes("hermes", tool_with(schema), {"it": unfit})


def test_one_is_the_same_as_a_float_of_one() -> None:
    with pytest.raises(UnenforceableError, match="oneOf"):
        call_grammar(FORMATS["hermes"], [tool_with({"oneOf": [{"const": 1}, {"const": 1.0}]})])


def test_names_of_a_choice_are_ones_that_the_format_can_write() -> None:
    choices = [{"properties": {name: {"type": "string"}}, "required": [name]} for name in ("a b", "c")]
    tool = ToolSchema("do", "", {"type": "object", "anyOf": choices})
    assert takes("pythonic", tool, {"c": "x"})
    assert not takes("pythonic", tool, {"a b": "x"})


@pytest.mark.parametrize(
    ("format_name", "tool", "name"),
    [
        ("functionary_v2", "all", "a"),
        ("pythonic", "7zip", "a"),
        ("qwen3_coder", "do>it", "a"),
        ("pythonic", "do", "$top"),
        ("functiongemma", "do it", "a"),
    ],
)
def test_a_name_that_a_format_cannot_write_is_refused(format_name: str, tool: str, name: str) -> None:
    schema = {"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]}
    with pytest.raises(UnenforceableError, match=f"{tool}.* the format '{format_name}' cannot have this name"):
        call_grammar(FORMATS[format_name], [ToolSchema(tool, "", schema)])


def test_an_argument_that_need_not_be_given_is_left_out_where_its_name_cannot_be_written() -> None:
    tool = ToolSchema("do", "", {"properties": {"$top": {"type": "integer"}, "a": {"type": "integer"}}})
    assert takes("pythonic", tool, {"a": 1})
    assert not takes("pythonic", tool, {"$top": 1})
    assert takes("hermes", tool, {"$top": 1, "a": 1})


# What fits, and what does not: the grammars follow the schemas both ways.
FOLLOWED: list[tuple[Any, list[Any], list[Any]]] = [
    ({"type": "string", "pattern": "^[A-Z]{3}$"}, ["ABC"], ["AB", "abc", "ABCD"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "é😀a"], ["a", "abcd"]),
    ({"enum": ["x < y", ""]}, ["x < y", ""], ["x", "x < "]),
    ({"allOf": [{"type": "string"}, {"minLength": 2}], "pattern": "^a"}, ["ab"], ["a", "ba"]),
    ({"anyOf": [{"type": "string", "maxLength": 1}, {"const": "long"}]}, ["a", "long"], ["lo"]),
    ({"type": "string", "format": "date"}, ["2024-02-29", "1999-12-31"], ["2023-02-29", "1999-13-01"]),
    ({"type": "integer", "exclusiveMinimum": 1, "maximum": 3}, [2, 3], [1, 4, -2]),
    ({"type": "integer", "minimum": 5, "exclusiveMinimum": True}, [6], [5]),
    ({"type": "number", "exclusiveMaximum": 5}, [4.5, -1.5], [5, 5.5]),
    ({"type": "number", "multipleOf": 0.01}, [1.15, 2], [1.155]),
    (
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        [[1], [1, 2]],
        [[], [1, 2, 3], ["1"]],
    ),
    (
        {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 1},
        [[1], [1, "a"]],
        [[], ["a"]],
    ),
    ({"items": {"enum": ["a", "b"]}, "uniqueItems": True}, [[], ["a"], ["a", "b"]], [["a", "a"]]),
    (
        {"properties": {"a": {"type": "integer"}, "b": {"type": "null"}}},
        [{}, {"a": 1}, {"b": None}],
        [{"a": None}, {"c": 1}],
    ),
    ({"properties": {"a": {}, "b": {}}, "required": ["b"]}, [{"b": {"x": [1]}}], [{}, {"a": 1}]),
    ({"properties": {"a": {"type": "null"}, "b": {}}, "minProperties": 1}, [{"a": None}, {"b": 1}], [{}]),
    (
        {"additionalProperties": {"type": "integer"}, "maxProperties": 2},
        [{}, {"x": 1, "y": 2}],
        [{"x": "1"}, {"x": 1, "y": 2, "z": 3}],
    ),
    (
        {"propertyNames": {"enum": ["n", "s"]}, "additionalProperties": {"type": "integer"}},
        [{"n": 1, "s": 2}],
        [{"w": 1}],
    ),
    ({"type": ["integer", "null"]}, [1, None], [1.5, True]),
    ({"const": {"a": [1, None]}}, [{"a": [1, None]}], [{"a": [1]}]),
    ({}, [[1, {"a": None}], True], [[[[[[1]]]]]]),
]


@pytest.mark.parametrize(("schema", "fitting", "unfit"), FOLLOWED)
@pytest.mark.parametrize("format_name", ["hermes", "openai", "qwen3_coder", "deepseek_v32", "functiongemma"])
def test_a_schema_is_followed(format_name: str, schema: Any, fitting: list[Any], unfit: list[Any]) -> None:
    tool = tool_with(schema)
    assert [value for value in fitting if not takes(format_name, tool, {"it": value})] == []
    assert [value for value in unfit if takes(format_name, tool, {"it": value})] == []


TREE = {
    "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/properties/it"}}},
    "required": ["value"],
}


@pytest.mark.parametrize("format_name", ["hermes", "qwen3_coder", "functiongemma"])
def test_what_refers_to_itself_is_followed_a_few_times(format_name: str) -> None:
    tree: dict[str, Any] = {"value": 0}
    depths = []
    for depth in range(10):
        if takes(format_name, tool_with(TREE), {"it": tree}):
            depths.append(depth)
        tree = {"value": depth, "children": [tree]}
    assert depths == list(range(len(depths))) and 4 <= len(depths) < 10


def test_a_value_whose_closer_stands_in_it_is_never_written() -> None:
    tool = tool_with({"type": "array", "items": {"type": "string"}})
    assert takes("glm47", tool, {"it": ["a b"]})
    assert not takes("glm47", tool, {"it": ["</arg_value><arg_key>x</arg_key><arg_value>1"]})
    assert takes("hermes", tool, {"it": ["</tool_call>"]})


def test_values_that_a_parser_would_take_for_strings_are_not_written() -> None:
    loose = {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer"}, {"minItems": 1}, {"minimum": 3.5}]}
    for name in ("glm47", "qwen3_coder"):
        assert takes(name, tool_with(loose), {"it": 12345})
        assert not takes(name, tool_with(loose), {"it": [1]})
        assert not takes(name, tool_with(loose), {"it": 4.5})
    only_text = {"anyOf": [{"type": "string"}, {"minItems": 1}], "minItems": 1}
    with pytest.raises(UnenforceableError, match="tool 'do': the types that it names"):
        call_grammar(FORMATS["glm47"], [tool_with(only_text)])


def test_a_name_that_is_not_listed_cannot_be_a_listed_one_in_disguise() -> None:
    schema = {"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}}
    grammar = call_grammar(FORMATS["hermes"], [tool_with(schema)])
    written = b'<tool_call>\n{"name": "do", "arguments": {"it": {"\\u0061": "x"}}}\n</tool_call>'
    assert LLMatcher(TOKENIZER, grammar).try_consume_tokens(list(written)) < len(written)


@pytest.mark.parametrize("name", PATTERNS)
@settings(max_examples=30, derandomize=True)
@given(data=st.data())
def test_strings_of_a_format_are_what_validators_take(name: str, data: st.DataObject) -> None:
    text = data.draw(
        st.from_regex(PATTERNS[name].replace(r"\#", "#"), fullmatch=True, alphabet=st.characters(codec="ascii"))
    )
    validator = jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True)
    assert validator.is_valid(text), json.dumps(text)
