"""Who may import whom, read from the source: what an image holds must be enough for what is in it."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.lock import EXTRAS
from scripts.requirements import declared

ROOT = Path(__file__).resolve().parents[2]
EXTRA_OF = {"protos": (), "decoder_service": ("decoder",), "tool_service": ("tools",), "gateway": ("gateway",)}
OURS = {*EXTRA_OF, "tests", "scripts", "benchmarks", "examples"}
SCHEMAS, WITH_SCHEMAS = "protos/schemas/", ("decoder", "tools")  # the gateway reads none
ONLY_IN_DECODER = {"torch", "transformers", "accelerate", "safetensors", "gguf"}


@cache
def imports(package: str) -> tuple[tuple[str, str], ...]:
    """Each (place, top-level module) that a file of `package` imports anywhere, in functions too.

    A file that is also run as a script imports its neighbours, and those one folder up, by their bare names; those are
    left out.
    """
    found: list[tuple[str, str]] = []
    for path in sorted((ROOT / package).rglob("*.py")):
        neighbours = {neighbour.stem for folder in path.parents[:2] for neighbour in folder.glob("*.py")}
        relative = path.relative_to(ROOT)
        depth = len(relative.parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"), path)):
            found += (
                (f"{relative}:{getattr(node, 'lineno', 0)}", name)
                for name in imported(node, depth)
                if name not in neighbours
            )
    return tuple(found)


distributions_of = cache(packages_distributions)


def imported(node: ast.AST, depth: int) -> list[str]:
    """The top-level modules that a node imports, in a file `depth` levels below the root."""
    match node:
        case ast.Import(names=names):
            return [alias.name.partition(".")[0] for alias in names]
        case ast.ImportFrom(module=str(module), level=0):
            return [module.partition(".")[0]]
        case ast.ImportFrom(level=level) if level >= depth:
            return ["..beyond the package"]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            return [name.partition(".")[0]]
    return []


@pytest.mark.parametrize("package", EXTRA_OF)
def test_a_package_imports_none_of_ours_but_itself_and_protos(package):
    ours = OURS - {package, "protos"}
    assert [(place, name) for place, name in imports(package) if name in ours or name.startswith("..")] == []


@pytest.mark.parametrize("package", sorted(EXTRA_OF.keys() - {"decoder_service"}))
def test_only_the_decoder_imports_the_models_libraries(package):
    assert [(place, name) for place, name in imports(package) if name in ONLY_IN_DECODER] == []


def test_the_formats_need_nothing_but_the_standard_library():
    allowed = sys.stdlib_module_names | {"tool_service", "protos"}
    assert [(place, name) for place, name in imports("tool_service/formats") if name not in allowed] == []
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tool_service.formats"
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)  # without what is installed


def test_schemas_need_the_standard_library_and_one_library_to_validate_with():
    allowed = sys.stdlib_module_names | {"protos"}
    needed = {(place.partition(":")[0], name) for place, name in imports("protos/schemas") if name not in allowed}
    assert needed == {("protos/schemas/validation.py", "jsonschema_rs")}


@pytest.mark.parametrize("package", [*EXTRA_OF, "tests", "scripts"])
def test_what_a_package_imports_is_declared_for_it(package):
    # Not merely installed: another part's extra would do that here, and the import would fail in the image.
    found = [(place, name) for place, name in imports(package) if not place.startswith(SCHEMAS)]
    assert undeclared(found, EXTRA_OF.get(package, EXTRAS)) == []


@pytest.mark.parametrize("extra", WITH_SCHEMAS)
def test_what_schemas_import_is_declared_for_whoever_reads_them(extra):
    assert undeclared(imports(SCHEMAS), (extra,)) == []


def test_the_gateway_reads_no_schemas():
    files = (ROOT / "gateway").rglob("*.py")
    assert [path for path in files if "protos.schemas" in path.read_text("utf-8")] == []


def undeclared(found: Iterable[tuple[str, str]], extras: Sequence[str]) -> list[tuple[str, str]]:
    """Those of these imports that the base and the extras do not declare."""
    distributions = distributions_of()
    allowed = {canonicalize_name(Requirement(line).name) for line in declared(*extras)}
    foreign = [(place, name) for place, name in found if name not in sys.stdlib_module_names and name not in OURS]
    return [
        (place, name)
        for place, name in foreign
        if not allowed & {canonicalize_name(each) for each in distributions.get(name, ())}
    ]
