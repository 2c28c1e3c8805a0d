"""What models write besides the usual spelling: other shapes, forgotten closers, white space, wrong calls."""

from typing import Any

import pytest

from tests.unit.tool_service.formats.turns import calls_of, cuts, merged, parse, reasoning_of, text_of

TEA = {"query": "tea"}
BROKEN = "broken"  # stands for any reason
DS = (
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
)

# The format, a turn, its calls, its text.
VARIANTS: list[tuple[str, str, list[tuple[str, Any]], str]] = [
    ("hermes", '<tool_call>\n[{"name": "search", "arguments": {"query": "tea"}}]\n</tool_call>', [("search", TEA)], ""),
    (
        "hermes",
        '<tool_call>{"type": "function", "function": {"name": "search", "arguments": {"query": "tea"}}}</tool_call>',
        [("search", TEA)],
        "",
    ),
    ("llama3_json", '<|python_tag|>{"name": "search", "parameters": {"query": "tea"}}', [("search", TEA)], ""),
    ("llama3_json", '{"type": "function", "name": "search", "parameters": {"query": "tea"}}', [("search", TEA)], ""),
    (
        "llama3_json",
        'I call {"name": "search", "arguments": {"query": "tea"}} now; ok',
        [("search", TEA)],
        "I call  now; ok",
    ),
    (
        "llama3_json",
        '{"name": "search", "parameters": {}};{"name": "f", "parameters": {}}',
        [("search", {}), ("f", {})],
        "",
    ),
    ("llama3_json", '{"name": "Paris", "country": "France"} {"a": {"name": 1}}', [], "same"),
    ("mistral", '[TOOL_CALLS]search{"query": "tea"}[TOOL_CALLS]f{}', [("search", TEA), ("f", {})], ""),
    ("mistral", '[TOOL_CALLS] [{"arguments": {"query": "tea"}, "name": "search", "id": "x"}]', [("search", TEA)], ""),
    ("mistral", '[TOOL_CALLS]search[CALL_ID]a1b2[ARGS]{"query": "tea"}', [("search", TEA)], ""),
    ("mistral", '[TOOL_CALLS]{"name": "search", "arguments": {"query": "tea"}}', [("search", TEA)], ""),
    ("mistral", "Say [TOOL_CALLS] twice: [TOOL_CALLS]", [], "same"),
    ("pythonic", "Sure:\n[search(query='tea'), f()]", [("search", TEA), ("f", {})], "Sure:\n"),
    ("pythonic", "[\n  search(\n    query = 'tea' ,\n  ),\n]", [("search", TEA)], ""),
    ("pythonic", "[search(query='''a\n'b' \"\"\"''')]", [("search", {"query": 'a\n\'b\' """'})], ""),
    (
        "pythonic",
        "[f(a=-1, b=+2.5, c=0x1F, d=1_000, e=.5, f=(1,), g=())]",
        [("f", {"a": -1, "b": 2.5, "c": 31, "d": 1000, "e": 0.5, "f": [1], "g": []})],
        "",
    ),
    (
        "pythonic",
        "[f(a=true, b=null, c={'x': [True, None]}, d='\\x41\\101\\u00e9\\n\\q\\\nz')]",
        [("f", {"a": True, "b": None, "c": {"x": [True, None]}, "d": "AAé\n\\qz"})],
        "",
    ),
    ("pythonic", "[f(a=1)\nDone.", [("f", {"a": 1})], "Done."),
    ("pythonic", "[f(a=1)]\n\n[g(b=2)]\nDone.", [("f", {"a": 1}), ("g", {"b": 2})], "Done."),
    ("pythonic", "[f(a=b), g(c=[1, 2, 3)]", [("f", BROKEN), ("g", BROKEN)], ""),
    ("pythonic", "See [docs](http://x)\n[a]: b\n[f(x)]\n[f (x=1)]", [], "same"),
    (
        "olmo3",
        "<function_calls>\nsearch(query='tea')\nf(a=true)\n</function_calls>\nDone.",
        [("search", TEA), ("f", {"a": True})],
        "\nDone.",
    ),
    ("olmo3", "<function_calls>search(query='tea')", [("search", TEA)], ""),
    (
        "lfm2",
        "<|tool_call_start|>[search(query='tea'), f()]<|tool_call_end|>Done.",
        [("search", TEA), ("f", {})],
        "Done.",
    ),
    ("lfm2", "<|tool_call_start|>[search(query='tea')<|tool_call_end|>", [("search", TEA)], ""),
    ("qwen3_coder", "<function=search>\n<parameter=query>\ntea\n</parameter>\n</function>", [("search", TEA)], ""),
    (
        "qwen3_coder",
        "<tool_call><function=search><parameter=query>tea</parameter></function></tool_call>",
        [("search", TEA)],
        "",
    ),
    (
        "qwen3_coder",
        "<tool_call>\n<function=search>\n<parameter=query>\n\n tea \n\n</parameter>\n</function>\n</tool_call>",
        [("search", {"query": "\n tea \n"})],
        "",
    ),
    (
        "qwen3_coder",
        "<tool_call>\n<function=search>\n<parameter=query>\ntea\n<parameter=city>\nSF\n</parameter>\n</function>\n</tool_call>",
        [("search", {"query": "tea", "city": "SF"})],
        "",
    ),
    (
        "qwen3_coder",
        "<tool_call>\n<function=search>\n<parameter=query>\ntea\n</function>\n</tool_call>",
        [("search", TEA)],
        "",
    ),
    (
        "qwen3_coder",
        "<tool_call>\n<function=search>\n<parameter=query>\ntea\n</parameter>\n</tool_call>",
        [("search", TEA)],
        "",
    ),
    ("qwen3_coder", "<function=unknown>\n<parameter=a>\n1\n</parameter>\n</function>", [], "same"),
    (
        "qwen3_coder",
        "<tool_call>\n<function=search>\n<parameter=exact>\nTrue\n</parameter>\n<parameter=maybe>\nNone\n</parameter>\n"
        "<parameter=count>\n3.0\n</parameter>\n<parameter=ratio>\n3\n</parameter>\n<parameter=tags>\n['a']\n</parameter>\n"
        "</function>\n</tool_call>",
        [("search", {"exact": True, "maybe": None, "count": 3, "ratio": 3, "tags": "['a']"})],
        "",
    ),
    ("deepseek_v3", f'{DS[1]}function{DS[2]}search\n```json\n{{"query": "tea"}}\n```{DS[3]}', [("search", TEA)], ""),
    ("deepseek_v3", f'{DS[0]}{DS[1]}function{DS[2]}search\n{{"query": "tea"}}{DS[3]}{DS[4]}', [("search", TEA)], ""),
    ("deepseek_v31", f'{DS[1]}search{DS[2]}{{"query": "tea"}}{DS[3]}', [("search", TEA)], ""),
    (
        "deepseek_v32",
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="search">\n<｜DSML｜parameter name="query" string="true">tea'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        [("search", TEA)],
        "",
    ),
    (
        "deepseek_v32",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="f">\n<｜DSML｜parameter name="a" string="true">1'
        '</｜DSML｜parameter>\n<｜DSML｜parameter name="b" string="false">[1]</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        "</｜DSML｜function_calls>",
        [("f", {"a": "1", "b": [1]})],
        "",
    ),
    (
        "kimi_k2",
        '<|tool_call_begin|>functions.search:12<|tool_call_argument_begin|>{"query": "tea"}<|tool_call_end|>',
        [("search", TEA)],
        "",
    ),
    (
        "kimi_k2",
        "<|tool_calls_section_begin|><|tool_call_begin|>search<|tool_call_argument_begin|>{}<|tool_call_end|>"
        "<|tool_calls_section_end|>Done.",
        [("search", {})],
        "Done.",
    ),
    ("glm45", "<tool_call>search\n</tool_call>", [("search", {})], ""),
    (
        "glm45",
        "<tool_call>\nsearch\n<arg_key> query </arg_key>\n<arg_value>tea</arg_value>\n</tool_call>",
        [("search", TEA)],
        "",
    ),
    ("glm45", "Use <tool_call>name</tool_call here.", [], "same"),
    (
        "glm47",
        '<tool_call>f<arg_key>a</arg_key><arg_value>[1, {"b": null}]</arg_value></tool_call>',
        [("f", {"a": [1, {"b": None}]})],
        "",
    ),
    (
        "openai",
        '<|channel|>commentary to=functions.search <|constrain|>json<|message|>{"query": "tea"}',
        [("search", TEA)],
        "",
    ),
    (
        "openai",
        '<|start|>assistant to=functions.search<|channel|>commentary<|message|>{"query": "tea"}<|call|>',
        [("search", TEA)],
        "",
    ),
    ("openai", "<|channel|>final<|message|>Done.<|return|>", [], "Done."),
    (
        "openai",
        "<|channel|>commentary<|message|>I look.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.f<|message|>{}<|call|>",
        [("f", {})],
        "I look.",
    ),
    (
        "minimax_m2",
        '<minimax:tool_call>\n<invoke name="search">\n</invoke>\n</minimax:tool_call>',
        [("search", {})],
        "",
    ),
    ("granite", '<tool_call>[{"arguments": {"query": "tea"}, "name": "search"}]', [("search", TEA)], ""),
    (
        "granite",
        '<|tool_call|> [ {"name": "search"} , {"name": "f", "arguments": "{}"} ]',
        [("search", {}), ("f", {})],
        "",
    ),
    (
        "phi4_mini_json",
        'functools [{"name": "search", "arguments": {"query": "tea"}}]Done.',
        [("search", TEA)],
        "Done.",
    ),
    ("phi4_mini_json", "import functools\nfunctools.reduce(f, [1])", [], "same"),
    ("functiongemma", "<start_function_call>call:f{}<end_function_call>", [("f", {})], ""),
    (
        "functiongemma",
        "<start_function_call> call: f { a : [1 , <escape>x<escape> ] , b:{c:true} }<end_function_call>ok",
        [("f", {"a": [1, "x"], "b": {"c": True}})],
        "ok",
    ),
    ("functiongemma", "<start_function_call>call:f{city:London}<end_function_call>", [("f", {"city": "London"})], ""),
    ("functiongemma", "<start_function_call>call:f{a:}<end_function_call>", [("f", BROKEN)], ""),
    ("xlam", '```json\n[{"name": "search", "arguments": {"query": "tea"}}]\n```', [("search", TEA)], ""),
    ("xlam", '[TOOL_CALLS][{"name": "search", "arguments": {"query": "tea"}}]', [("search", TEA)], ""),
    ("functionary_v2", 'search\n<|content|>{"query": "tea"}<|stop|>', [("search", TEA)], ""),
    (
        "functionary_v2",
        'all\n<|content|>I look.<|from|>assistant\n<|recipient|>search\n<|content|>{"query": "tea"}',
        [("search", TEA)],
        "I look.",
    ),
    ("functionary_v2", "Just text.", [], "same"),
    (
        "plan",
        "Plan:\n>>>\n$1 = search(tea)\n$2 = f($1)\n<<<\nDone.",
        [("plan", {"plan": "$1 = search(tea)\n$2 = f($1)\n"})],
        ("Plan:\n\nDone."),
    ),
]


@pytest.mark.parametrize(("name", "text", "calls", "plain"), VARIANTS)
def test_reads_what_models_write(name: str, text: str, calls: list[tuple[str, Any]], plain: str) -> None:
    whole = merged(parse(name, text))
    found = [(tool, given if isinstance(given, dict) else BROKEN) for tool, given in calls_of(whole)]
    assert repr(found) == repr(calls)
    assert text_of(whole).split() == (text if plain == "same" else plain).split()
    for pieces in cuts(text):
        assert merged(parse(name, *pieces)) == whole


@pytest.mark.parametrize("name", ["hermes", "json", "qwen3_coder", "pythonic", "code_block", "plan"])
def test_reasoning_that_the_end_cuts_off_is_reasoning(name: str) -> None:
    for text in ("<think>", "<think>\nHm", "<think>Hm</thin"):
        events = parse(name, text, reason="length")
        assert reasoning_of(events) == text.removeprefix("<think>")
        assert text_of(events) == ""


def test_harmonys_analysis_is_reasoning_up_to_the_next_header() -> None:
    text = "<|channel|>analysis<|message|>I use <|channel|>commentary to=functions.f<|message|>{}"
    events = parse("openai", text)
    assert reasoning_of(events) == "I use "
    assert calls_of(events) == [("f", {})]
