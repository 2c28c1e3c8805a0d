"""The benchmark of the parsers: what it reports, not how fast they are."""

import json
import subprocess
import sys
from dataclasses import replace

from benchmarks.calls import items_turn, text_turn, tools_of
from benchmarks.parsing import KINDS, Cost, attacks
from tool_service.formats import FORMATS

GOOD = Cost("hermes", "text", {1: 900.0, 16: 700.0, 256: 700.0, 1024: 650.0}, 0.1, 20.0, 200.0)


def test_a_cost_names_the_bounds_it_misses() -> None:
    assert GOOD.missed() == []
    assert replace(GOOD, per_kib={1: 1030.0, 16: 700.0}).missed() == ["fast"]
    assert replace(GOOD, per_kib={1: 100.0, 16: 151.0}).missed() == ["flat"]
    assert replace(GOOD, p50=20.1, p99=200.1).missed() == ["p50", "p99"]


def test_turns_have_the_size_they_are_asked_for() -> None:
    for format_ in FORMATS.values():
        for make in KINDS.values() if not format_.only_tool else [text_turn]:
            text, arguments = make(format_, 16 * 1024)
            assert 15 * 1024 < len(text) < 24 * 1024  # escapes are written longer than they are
            assert len(json.dumps(arguments, ensure_ascii=False)) > 13 * 1024
            parser = format_.parser(tools_of(format_))
            assert repr(arguments) in repr([*parser.feed(text), *parser.close("stop")])
    assert items_turn is KINDS["items"]


def test_the_attacks_are_what_they_are_said_to_be() -> None:
    assert [len(text) for name, source, text, _ in attacks() if "#31912, 8.3 s" in source] == [162]
    assert {name for name, *_ in attacks()} >= {"pythonic", "deepseek_v3", "hermes"}


def test_prints_the_figures_as_json() -> None:
    command = (sys.executable, "-m", "benchmarks.parsing", "--only", "plan", "pythonic", "--rounds", "1", "--json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    data = json.loads(done.stdout)
    assert [(cost["format"], cost["arguments"]) for cost in data["costs"]] == [
        ("plan", "text"),
        ("pythonic", "text"),
        ("pythonic", "items"),
    ]
    for cost in data["costs"]:
        assert cost["per_kib"].keys() == {"1", "16", "256", "1024"}
        assert cost["flatness"] >= 1 < cost["characters_per_second"]
    assert [attack["format"] for attack in data["attacks"]] == ["pythonic"] * 3
    assert done.returncode == bool(data["missed"])
