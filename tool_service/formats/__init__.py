"""The ways in which models write tool calls. A format is one file; this is the one table of them."""

from tool_service.formats.code_block import CODE_BLOCK
from tool_service.formats.format import Format
from tool_service.formats.hermes import HERMES
from tool_service.formats.json_format import JSON

FORMATS: dict[str, Format] = {each.name: each for each in (HERMES, JSON, CODE_BLOCK)}
