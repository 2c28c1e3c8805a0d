"""Tools of files and modules."""

import json
import sys
from pathlib import Path

import pytest

from tool_service.tools.sources import ToolLoadError, tools_of

TOOL = 'from tool_service.interface import tool\n\n\n@tool\ndef mine() -> str:\n    """Mine."""\n    return NAME\n'


def test_a_file_takes_no_other_modules_place_and_two_of_one_name_are_two(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(TOOL + f"\n\nNAME = {folder!r}\n")
    tools = [tools_of(str(tmp_path / folder / "json.py"))[0] for folder in ("a", "b")]
    results = [tool.function() for tool in tools]
    assert results == ["a", "b"]
    assert sys.modules["json"] is json


def test_a_file_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(TOOL)
    monkeypatch.chdir(tmp_path)
    (tool,) = tools_of("mine.py")
    assert tool.source == str(tmp_path / "mine.py")


def test_types_that_are_named_before_they_are_there_are_found(tmp_path: Path) -> None:
    source = tmp_path / "later.py"
    source.write_text(
        "from __future__ import annotations\n\nfrom dataclasses import dataclass\n\n"
        + "from tool_service.interface import tool\n\n\n@dataclass\nclass Place:\n    name: str\n\n\n"
        + '@tool\ndef find(place: Place) -> str:\n    """Find."""\n    return place.name\n'
    )
    (tool,) = tools_of(str(source))
    assert tool.signature.parameters["place"].validate({"name": "here"}).name == "here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "has no function with @tool"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("def (\n", "SyntaxError"),
        (None, "FileNotFoundError"),
    ],
)
def test_what_cannot_be_loaded_is_named_and_leaves_nothing(tmp_path: Path, text: str | None, said: str) -> None:
    source = tmp_path / "broken.py"
    if text is not None:
        source.write_text(text)
    before = set(sys.modules)
    with pytest.raises(ToolLoadError, match=f"{source}.*{said}"):
        tools_of(str(source))
    assert text == "x = 1\n" or set(sys.modules) - before == set()


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolLoadError, match=r"cannot load no\.such\.module: ModuleNotFoundError"):
        tools_of("no.such.module")
