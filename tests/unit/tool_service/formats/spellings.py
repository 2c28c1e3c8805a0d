"""How each format writes calls: the texts that the tests of all formats parse."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Calls = Sequence[tuple[str, dict[str, Any]]]


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def raw(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


@dataclass(frozen=True)
class Spelling:
    """How a format writes the calls of a turn, and what text around them it leaves as it is.

    `seals`: what stands last of each call that seals it. `ambiguous`: string values that nobody could tell from syntax.
    `markers`: its markers, whole and broken, for values and rubble.
    """

    write: Callable[[Calls], str]
    seals: str
    markers: tuple[str, ...]
    ambiguous: str = r"\A\b\A"
    think: Callable[[str], str] = lambda text: f"<think>{text}</think>\n"
    lines: bool = False  # calls stand on lines of their own
    text: Callable[[str], str] = lambda text: text  # how text before the calls is written
    also_seals: str = "\0"  # what does so where `seals` was forgotten
    types: bool = True  # values keep the type they are written in, without a schema


def objects(before: str, after: str, key: str = "arguments", join: str = "\n") -> Callable[[Calls], str]:
    return lambda calls: join.join(before + as_json({"name": name, key: given}) + after for name, given in calls)


def array(before: str, after: str) -> Callable[[Calls], str]:
    return lambda calls: before + as_json([{"arguments": given, "name": name} for name, given in calls]) + after


def named(before: str, after: str, begin: str = "", end: str = "") -> Callable[[Calls], str]:
    def write(calls: Calls) -> str:
        return begin + "".join(before.replace("NAME", name) + as_json(given) + after for name, given in calls) + end

    return write


def tagged(
    before: str, parameter: str, parameter_end: str, after: str, begin: str = "", end: str = "", other: str = ""
) -> Callable[[Calls], str]:
    def one(name: str, given: dict[str, Any]) -> str:
        parts = [
            (parameter if isinstance(value, str) or not other else other).replace("KEY", key)
            + raw(value)
            + parameter_end
            for key, value in given.items()
        ]
        return before.replace("NAME", name) + "".join(parts) + after

    return lambda calls: begin + "".join(one(name, given) for name, given in calls) + end


def pythonic(begin: str, join: str, end: str) -> Callable[[Calls], str]:
    def one(name: str, given: dict[str, Any]) -> str:
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"

    return lambda calls: begin + join.join(one(name, given) for name, given in calls) + end


def gemma(calls: Calls) -> str:
    def value(given: Any) -> str:
        match given:
            case str():
                return f"<escape>{given}<escape>"
            case dict():
                return "{" + ",".join(f"{key}:{value(part)}" for key, part in given.items()) + "}"
            case list():
                return "[" + ",".join(map(value, given)) + "]"
            case _:
                return as_json(given)

    return "".join(f"<start_function_call>call:{name}{value(given)}<end_function_call>" for name, given in calls)


def block(opening: str, closing: str) -> Callable[[Calls], str]:
    return lambda calls: "".join(opening + next(iter(given.values())) + closing for _, given in calls)


_DS = (
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
)
_DSML = "｜DSML｜"


def closers(value_end: str, *then: str) -> str:
    return rf"{re.escape(value_end)}[ \t\r\n]*(?:{'|'.join(map(re.escape, then))})"


SPELLINGS: dict[str, Spelling] = {
    "hermes": Spelling(
        objects("<tool_call>\n", "\n</tool_call>"), "}", ("<tool_call>", "</tool_call>", '<tool_call>\n{"name": "x"')
    ),
    "llama3_json": Spelling(objects("", "", "parameters", "; "), "}", ("<|python_tag|>", ";", '{"name": ')),
    "mistral": Spelling(
        named("[TOOL_CALLS]NAME[ARGS]", ""),
        "}",
        ("[TOOL_CALLS]", "[ARGS]", '[TOOL_CALLS][{"name": "x"', "[TOOL_CALLS]x{"),
    ),
    "pythonic": Spelling(pythonic("[", ", ", "]"), ")", ("[f(", "[f(x=", ")]", "[search()]", "'", '"'), lines=True),
    "olmo3": Spelling(
        pythonic("<function_calls>\n", "\n", "\n</function_calls>"),
        ")",
        ("<function_calls>", "</function_calls>", "<function_calls>\nf(", "f(x="),
    ),
    "lfm2": Spelling(
        pythonic("<|tool_call_start|>[", ", ", "]<|tool_call_end|>"),
        ")",
        ("<|tool_call_start|>", "<|tool_call_end|>", "<|tool_call_start|>[f(", ")]"),
    ),
    "qwen3_coder": Spelling(
        tagged(
            "<tool_call>\n<function=NAME>\n", "<parameter=KEY>\n", "\n</parameter>\n", "</function>\n</tool_call>\n"
        ),
        "</function>",
        ("<tool_call>", "<function=search>", "<parameter=query>", "</parameter>", "</function>", "</tool_call>", "\n"),
        rf"{closers('</parameter>', '<parameter=', '</function>', '</tool_call>')}|\n<parameter=\w+>(?:\n|\Z)"
        rf"|{closers(chr(10) + '</function>', '</tool_call>')}",
        also_seals="</tool_call>",
        types=False,
    ),
    "deepseek_v3": Spelling(
        named(f"{_DS[1]}function{_DS[2]}NAME\n```json\n", f"\n```{_DS[3]}", _DS[0], _DS[4]),
        "}",
        (*_DS, "```json\n", "```"),
    ),
    "deepseek_v31": Spelling(named(f"{_DS[1]}NAME{_DS[2]}", _DS[3], _DS[0], _DS[4]), "}", _DS),
    "deepseek_v32": Spelling(
        tagged(
            f'<{_DSML}invoke name="NAME">\n',
            f'<{_DSML}parameter name="KEY" string="true">',
            f"</{_DSML}parameter>\n",
            f"</{_DSML}invoke>\n",
            f"<{_DSML}function_calls>\n",
            f"</{_DSML}function_calls>",
            f'<{_DSML}parameter name="KEY" string="false">',
        ),
        f"</{_DSML}invoke>",
        (
            f"<{_DSML}function_calls>",
            f"</{_DSML}function_calls>",
            f'<{_DSML}invoke name="search">',
            f"</{_DSML}invoke>",
            f'<{_DSML}parameter name="query" string="true">',
            f"</{_DSML}parameter>",
        ),
        closers(f"</{_DSML}parameter>", f'<{_DSML}parameter name="', f"</{_DSML}invoke>"),
    ),
    "kimi_k2": Spelling(
        named(
            "<|tool_call_begin|>functions.NAME:0 <|tool_call_argument_begin|>",
            "<|tool_call_end|>",
            "<|tool_calls_section_begin|>",
            "<|tool_calls_section_end|>",
        ),
        "}",
        ("<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"),
    ),
    "glm45": Spelling(
        tagged("<tool_call>NAME\n", "<arg_key>KEY</arg_key>\n<arg_value>", "</arg_value>\n", "</tool_call>\n"),
        "</tool_call>",
        (
            "<tool_call>",
            "<tool_call>search\n",
            "<arg_key>",
            "</arg_key>",
            "<arg_value>",
            "</arg_value>",
            "</tool_call>",
        ),
        closers("</arg_value>", "<arg_key>", "</tool_call>"),
        types=False,
    ),
    "glm47": Spelling(
        tagged("<tool_call>NAME", "<arg_key>KEY</arg_key><arg_value>", "</arg_value>", "</tool_call>"),
        "</tool_call>",
        ("<tool_call>", "<tool_call>search", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>"),
        closers("</arg_value>", "<arg_key>", "</tool_call>"),
        types=False,
    ),
    "openai": Spelling(
        named("<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>", "<|call|>"),
        "}",
        (
            "<|start|>",
            "assistant",
            "<|channel|>",
            "analysis",
            "commentary to=functions.search ",
            "<|message|>",
            "<|end|>",
        ),
        text=lambda text: f"<|channel|>commentary<|message|>{text}<|end|><|start|>assistant" if text else "",
        think=lambda text: f"<|channel|>analysis<|message|>{text.replace('<|', '')}<|end|><|start|>assistant",
    ),
    "minimax_m2": Spelling(
        tagged(
            '<invoke name="NAME">\n',
            '<parameter name="KEY">',
            "</parameter>\n",
            "</invoke>\n",
            "<minimax:tool_call>\n",
            "</minimax:tool_call>",
        ),
        "</invoke>",
        ("<minimax:tool_call>", '<invoke name="search">', '<parameter name="query">', "</parameter>", "</invoke>"),
        closers("</parameter>", '<parameter name="', "</invoke>"),
        types=False,
    ),
    "granite": Spelling(
        array("<|tool_call|>", ""), "}", ("<|tool_call|>", "<tool_call>", '<|tool_call|>[{"name": "x"', "]")
    ),
    "phi4_mini_json": Spelling(array("functools", ""), "}", ("functools", 'functools[{"name": "x"', "[", "]")),
    "functiongemma": Spelling(
        gemma,
        "}",
        (
            "<start_function_call>",
            "<end_function_call>",
            "call:search{",
            "<start_function_call>call:f{",
            "}",
            "<escape",
        ),
        "<escape>",
    ),
    "xlam": Spelling(array("", "\n"), "}", ("[TOOL_CALLS]", "```json\n", "```", '[{"name": ', "[", "]"), lines=True),
    "json": Spelling(objects("", "\n"), "}", ("```json\n", "```", "\n```\n", '{"name": ', "[{"), lines=True),
    "functionary_v2": Spelling(
        lambda calls: "<|from|>assistant\n<|recipient|>".join(
            f"{name}\n<|content|>{as_json(given)}<|stop|>" for name, given in calls
        ),
        "}",
        ("<|recipient|>", "all\n", "search\n<|content|>", "<|content|>", "<|stop|>", "<|from|>assistant\n"),
        think=lambda text: "",
        text=lambda text: f"all\n<|content|>{text}<|stop|><|from|>assistant\n<|recipient|>" if text else "",
    ),
    "code_block": Spelling(
        block("```python\n", "```\n"),
        "```",
        ("```python\n", "```py", "```\n", "``", "\n"),
        r"(?m)^```[ \t\r]*$",
        lines=True,
    ),
    "plan": Spelling(block(">>>\n", "<<<\n"), "<<<", (">>>", "<<<", ">>> $1", "<<", "\n"), r"(?m)^<<<", lines=True),
}

BLOCKS = {"code_block": ("python", "code"), "plan": ("plan", "plan")}
