"""The grammar of answers that follow a JSON schema.

    JSON schema ─▶ shapes (protos/schemas/reading.py) ─▶ what a grammar can write of them (…/narrowing.py)
                ─▶ a JSON schema for llguidance (…/writing.py)

llguidance would take the schema as it is, but some are compiled without an end; what is written here is bounded.
"""

import json
from typing import Any, NoReturn

from decoder_service.text.grammar_text import GrammarText
from protos.schemas.narrowing import Narrowing
from protos.schemas.reading import UnenforceableError, bounded_work, read_schema
from protos.schemas.validation import DRAFT_7, check_form
from protos.schemas.writing import SchemaWriter


def answer_grammar(text: str) -> GrammarText:
    """The grammar whose sentences are values that fit the schema. Raises UnenforceableError."""
    schema = _parsed(text)
    with bounded_work():
        shape = Narrowing().shape(read_schema(schema))
    if not shape:
        raise UnenforceableError("nothing fits it that can be written under a grammar")
    writer = SchemaWriter()
    return GrammarText("json_schema", writer.document(writer.schema(shape)))


def _parsed(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text, parse_constant=_refuse)
        if not isinstance(schema, dict):
            raise ValueError("it is no object")
        _check_form(schema)
    except (ValueError, RecursionError) as error:
        raise UnenforceableError(f"malformed: {error}") from None
    return schema


def _check_form(schema: dict[str, Any]) -> None:
    """Raises ValueError. A schema that names no draft may be of the latest or of the one that most are written in."""
    try:
        check_form(schema)
    except ValueError:
        if "$schema" in schema:
            raise
        check_form({**schema, "$schema": DRAFT_7})


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
