"""Calls rendered by transformers, with templates that write them as the models' own do, are read back.

The templates hold only the part that renders an assistant's message. `tojson` and `string` are Jinja's and
transformers': so Python's True and None stand where a model's template prints a bare value.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from tests.unit.tool_service.formats.spellings import SPELLINGS
from tests.unit.tool_service.formats.turns import arguments_of, calls_of, merged, parse, pieces_at

CALLS = "{% for call in messages[-1].tool_calls %}{% set f = call.function %}"
END = "{% endfor %}"
BARE = "{{ v | tojson if v is mapping or (v is sequence and v is not string) else v | string }}"
JSON_UNLESS_STRING = "{{ v if v is string else v | tojson }}"
EACH = "{% for k, v in f.arguments.items() %}"
PYTHON = "{{ f.name }}(" + EACH + "{{ k }}={{ v | tojson }}{{ ', ' if not loop.last }}" + END + ")"
DSML = "｜DSML｜"

TEMPLATES: Mapping[str, str] = {
    "hermes": CALLS
    + '{{ "\\n" if not loop.first }}<tool_call>\n{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}\n'
    + "</tool_call>"
    + END,
    "llama3_json": CALLS
    + '{{ "; " if not loop.first }}{"name": "{{ f.name }}", "parameters": {{ f.arguments | tojson }}}'
    + END,
    "mistral": "[TOOL_CALLS] ["
    + CALLS
    + '{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}, "id": "123456789"}{{ ", " if not loop.last }}'
    + END
    + "]</s>",
    "qwen3_coder": CALLS
    + "{{ '\\n' if not loop.first }}<tool_call>\n<function={{ f.name }}>\n"
    + EACH
    + f"<parameter={{{{ k }}}}>\n{BARE}\n</parameter>\n"
    + END
    + "</function>\n</tool_call>"
    + END,
    "deepseek_v3": "<｜tool▁calls▁begin｜>"
    + CALLS
    + "{{ '\\n' if not loop.first }}<｜tool▁call▁begin｜>function<｜tool▁sep｜>{{ f.name }}\n```json\n"
    + "{{ f.arguments | tojson }}\n```<｜tool▁call▁end｜>"
    + END
    + "<｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
    "deepseek_v31": "<｜tool▁calls▁begin｜>"
    + CALLS
    + "<｜tool▁call▁begin｜>{{ f.name }}<｜tool▁sep｜>{{ f.arguments | tojson }}<｜tool▁call▁end｜>"
    + END
    + "<｜tool▁calls▁end｜>",
    "deepseek_v32": f"\n\n<{DSML}function_calls>\n"
    + CALLS
    + f'<{DSML}invoke name="{{{{ f.name }}}}">\n'
    + EACH
    + f'<{DSML}parameter name="{{{{ k }}}}" string="{{{{ "true" if v is string else "false" }}}}">'
    + JSON_UNLESS_STRING
    + f"</{DSML}parameter>\n"
    + END
    + f"</{DSML}invoke>\n"
    + END
    + f"</{DSML}function_calls>",
    "kimi_k2": "<|tool_calls_section_begin|>"
    + CALLS
    + "<|tool_call_begin|>functions.{{ f.name }}:{{ loop.index0 }}"
    + "<|tool_call_argument_begin|>{{ f.arguments | tojson }}"
    + "<|tool_call_end|>"
    + END
    + "<|tool_calls_section_end|>",
    "glm45": CALLS
    + "\n<tool_call>{{ f.name }}\n"
    + EACH
    + f"<arg_key>{{{{ k }}}}</arg_key>\n<arg_value>{JSON_UNLESS_STRING}</arg_value>\n"
    + END
    + "</tool_call>"
    + END,
    "glm47": CALLS
    + "<tool_call>{{ f.name }}"
    + EACH
    + f"<arg_key>{{{{ k }}}}</arg_key><arg_value>{JSON_UNLESS_STRING}</arg_value>"
    + END
    + "</tool_call>"
    + END,
    "openai": CALLS
    + "<|start|>assistant to=functions.{{ f.name }}<|channel|>commentary json<|message|>"
    + "{{ f.arguments | tojson }}<|call|>"
    + END,
    "minimax_m2": "\n<minimax:tool_call>\n"
    + CALLS
    + '<invoke name="{{ f.name }}">\n'
    + EACH
    + f'<parameter name="{{{{ k }}}}">{JSON_UNLESS_STRING}</parameter>\n'
    + END
    + "</invoke>\n"
    + END
    + "</minimax:tool_call>",
    "granite": "<|tool_call|>["
    + CALLS
    + '{"arguments": {{ f.arguments | tojson }}, "name": "{{ f.name }}"}{{ ", " if not loop.last }}'
    + END
    + "]",
    "phi4_mini_json": "functools["
    + CALLS
    + '{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}{{ ", " if not loop.last }}'
    + END
    + "]",
    "functiongemma": """
{%- macro value(v) -%}
    {%- if v is string -%}<escape>{{ v }}<escape>
    {%- elif v is boolean -%}{{ 'true' if v else 'false' }}
    {%- elif v is mapping -%}{
        {%- for k, x in v.items() %}<escape>{{ k }}<escape>:{{ value(x) }}{{ ',' if not loop.last }}{% endfor -%}}
    {%- elif v is sequence -%}[{% for x in v %}{{ value(x) }}{{ ',' if not loop.last }}{% endfor %}]
    {%- else -%}{{ v }}{%- endif -%}
{%- endmacro -%}
"""
    + CALLS
    + "<start_function_call>call:{{ f.name }}{{ '{' }}"
    + EACH
    + "{{ k }}:{{ value(v) }}{{ ',' if not loop.last }}"
    + END
    + "}<end_function_call>"
    + END,
    "pythonic": f"[{CALLS}{PYTHON}{{{{ ', ' if not loop.last }}}}{END}]",
    "olmo3": f"<function_calls>{CALLS}\n{PYTHON}{END}\n</function_calls>",
    "lfm2": f"<|tool_call_start|>[{CALLS}{PYTHON}{{{{ ', ' if not loop.last }}}}{END}]<|tool_call_end|>",
    "xlam": "["
    + CALLS
    + '{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}{{ ", " if not loop.last }}'
    + END
    + "]",
    "json": "```json\n"
    + CALLS
    + '{{ "\\n" if not loop.first }}{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson(indent=2) }}}'
    + END
    + "\n```",
    "functionary_v2": CALLS
    + "{{ '<|from|>assistant\\n<|recipient|>' if not loop.first }}{{ f.name }}\n"
    + "<|content|>{{ f.arguments | tojson }}<|stop|>"
    + END,
}


def render(name: str, calls: list[tuple[str, dict[str, Any]]]) -> str:
    tool_calls = [{"type": "function", "function": {"name": tool, "arguments": given}} for tool, given in calls]
    message = {"role": "assistant", "content": "", "tool_calls": tool_calls}
    (text,), _ = render_jinja_template([[message]], chat_template=TEMPLATES[name])
    return str(text)


def check(name: str, data: st.DataObject) -> None:
    calls = data.draw(
        st.lists(st.tuples(st.sampled_from(["search", "get_weather"]), arguments_of(name)), min_size=1, max_size=3)
    )
    text = render(name, calls)
    events = parse(name, text)
    assert repr(calls_of(events)) == repr(calls)
    places = data.draw(st.lists(st.integers(0, 10_000), max_size=10))
    assert merged(parse(name, *pieces_at(text, places))) == merged(events)


@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_what_transformers_renders_is_read_back(name: str, data: st.DataObject) -> None:
    check(name, data)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TEMPLATES)
@given(data=st.data())
@settings(max_examples=1000, deadline=None)
def test_much_of_what_transformers_renders_is_read_back(name: str, data: st.DataObject) -> None:
    check(name, data)


def test_the_formats_without_a_template_are_those_that_no_template_writes() -> None:
    assert SPELLINGS.keys() - TEMPLATES.keys() == {"code_block", "plan"}
