"""Tools from elsewhere: modules that are named, and entry points of distributions that are installed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tool_service.interface import Tool
from tool_service.settings import ToolSettings
from tool_service.tools.loading import open_host
from tool_service.tools.sources import ToolLoadError

SOURCE = '''
from tool_service.interface import tool

@tool
def {name}() -> str:
    """Greet."""
    return "hello"
'''


async def load(settings: ToolSettings) -> dict[str, Tool]:
    """The tools that a service with these settings offers."""
    async with open_host(settings) as host:
        return dict(host.tools)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder like site-packages, on the path."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(site: Path, distribution: str, points: str, **modules: str) -> None:
    """What installing a wheel leaves: a package, and a dist-info folder with its entry points."""
    package = site / distribution.replace("-", "_")
    package.mkdir()
    for name, source in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(source)
    info = site / f"{package.name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


async def test_a_distributions_modules_of_tools_are_loaded(site: Path) -> None:
    points = (
        "[conveyor.tools]\ngreet = acme_tools.greeting\nwave = acme_tools.waving\n[other]\nno = acme_tools.nothing\n"
    )
    install(
        site, "acme-tools", points, greeting=SOURCE.format(name="acme_greet"), waving=SOURCE.format(name="acme_wave")
    )
    tools = await load(ToolSettings())
    assert {"acme_greet", "acme_wave", "calculator"} <= tools.keys()
    assert tools["acme_greet"].function() == "hello"
    assert list(await load(ToolSettings(only=["acme_wave"]))) == ["acme_wave"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def f(:", "SyntaxError"),
        ("raise RuntimeError('no key')", "RuntimeError: no key"),
        ("x = 1", "has no function with @tool"),
        ("from tool_service.interface import tool\n@tool\ndef f(x): ...", "InvalidToolError"),
    ],
)
async def test_an_entry_point_that_is_broken_names_its_distribution(site: Path, source: str, problem: str) -> None:
    install(site, "broken-tools", "[conveyor.tools]\nbad = broken_tools.bad\n", bad=source)
    with pytest.raises(ToolLoadError) as refused:
        await load(ToolSettings())
    assert str(refused.value).startswith("the entry point 'bad' of broken-tools in the group conveyor.tools: ")
    assert problem in str(refused.value)


async def test_a_distribution_whose_tool_has_the_name_of_another_is_refused(site: Path) -> None:
    install(site, "same-name", "[conveyor.tools]\nx = same_name.x\n", x=SOURCE.format(name="calculator"))
    with pytest.raises(ToolLoadError, match="two tools are named 'calculator'"):
        await load(ToolSettings())


async def test_the_environment_names_modules(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "acme").mkdir()
    (site / "acme" / "tools.py").write_text(SOURCE.format(name="acme_hello"))
    monkeypatch.setenv("CONVEYOR_TOOLS", "acme.tools")
    assert "acme_hello" in await load(ToolSettings.load([]))


@pytest.mark.parametrize("name", ["nothing.of.this.name", "nothing_here.py"])
async def test_a_module_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ToolLoadError, match=f"cannot load {name}"):
        await load(ToolSettings(modules=[name]))
