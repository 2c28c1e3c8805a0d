import pytest

from tests.unit.tool_service.formats.turns import calls_of, parse
from tool_service.formats import FORMATS
from tool_service.formats.format import ToolSchema
from tool_service.formats.instructions import example_call, list_tools

SEARCH = ToolSchema(
    "search",
    "Searches\n  the web.",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": ["integer", "null"]},
            "site": {"enum": ["news", 1]},
            "deep": True,
        },
        "required": ["query", "site"],
    },
)
CLOCK = ToolSchema("clock", "", {"type": "object"})


def test_lists_tools_with_their_parameters() -> None:
    assert list_tools([SEARCH, CLOCK]) == (
        '- search(query: string, limit: integer or null, optional, site: "news" or 1, deep: any, optional): '
        "Searches the web.\n- clock()"
    )


def test_the_example_gives_what_is_required() -> None:
    write = FORMATS["json"].write
    assert example_call([SEARCH], write) == '{"name": "search", "arguments": {"query": "the query", "site": "news"}}'
    assert example_call([CLOCK], write) == '{"name": "clock", "arguments": {}}'


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_reads_the_example_it_gives(name: str) -> None:
    for tools in ([SEARCH, CLOCK], [CLOCK], []):
        text = FORMATS[name].instructions(tools)
        ((_, arguments),) = calls_of(parse(name, text))
        assert isinstance(arguments, dict)


@pytest.mark.parametrize("name", FORMATS)
def test_the_table_names_the_format(name: str) -> None:
    assert FORMATS[name].name == name
    assert FORMATS[name].description
