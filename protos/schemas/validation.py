"""What the library jsonschema-rs knows of schemas: whether one is well-formed, and what a pattern matches."""

import functools
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

PATTERNS = jsonschema_rs.RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)

WHOLE = jsonschema_rs.RegexOptions(size_limit=8 << 20, dfa_size_limit=1 << 20)  # enough for `^.{1,5000}$`
KEPT = 16  # compiled patterns

DRAFT_7 = "http://json-schema.org/draft-07/schema"
_DRAFTS = {
    "http://json-schema.org/draft-04/schema",
    "http://json-schema.org/draft-06/schema",
    DRAFT_7,
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
}


def draft_of(schema: Mapping[str, Any]) -> dict[str, str]:
    """The schema's `$schema` where it is a draft that we know; else nothing, which means the latest."""
    named = schema.get("$schema")
    return {"$schema": named} if isinstance(named, str) and named.removesuffix("#") in _DRAFTS else {}


def check_form(schema: Mapping[str, Any]) -> None:
    """Raises ValueError where a schema is malformed by its draft."""
    known = {key: value for key, value in schema.items() if key != "$schema"}
    try:
        jsonschema_rs.meta.validate({**known, **draft_of(schema)})
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def whole_match(pattern: str, text: str) -> bool:
    """Whether a pattern, in the dialect of Rust's crate `regex`, matches all of a text. Raises ValueError where it is
    none, or one that becomes too large."""
    return bool(_whole(pattern).is_valid(text))


@functools.lru_cache(KEPT)
def _whole(pattern: str) -> jsonschema_rs.Validator:
    """To compile one takes up to 40 ms, and it is asked about many texts."""
    return jsonschema_rs.validator_for({"pattern": f"^(?:{pattern})$"}, pattern_options=WHOLE)
