"""Grammars over the default model's tokenizer: what is foreseen is what is so."""

import json
import random

import pytest

from decoder_service.models.loader import LoadedModel
from decoder_service.text.grammar import Grammar, InvalidGrammarError

pytestmark = pytest.mark.timeout(180)  # the first test may have to convert the model

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["alpha", "alphabet", "beta"]},
        "a rather long name": {"type": "integer"},
    },
    "required": ["name", "kind", "a rather long name"],
    "additionalProperties": False,
}
SENTENCE = '{"name": "é \\n python", "kind": "alphabet", "a rather long name": 123}'


def grammar_of(model: LoadedModel) -> Grammar:
    return model.grammars.json_schema(json.dumps(SCHEMA))


def tokens_of(model: LoadedModel) -> list[int]:
    return list(model.backend_tokenizer.encode(SENTENCE, add_special_tokens=False).ids)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_foreseen_is_what_is_allowed_whatever_is_then_taken(model: LoadedModel, seed: int) -> None:
    luck, tokens = random.Random(seed), tokens_of(model)
    foreseeing, plain = grammar_of(model), grammar_of(model)
    place = 0
    while place < len(tokens):
        ahead = tokens[place : place + luck.randint(0, 5)]
        foreseeing.foresee(ahead)
        for token in tokens[place : place + luck.randint(1, 5)]:
            one, other = foreseeing.allowed(), plain.allowed()
            assert (one.bits == other.bits).all() and one.only == other.only
            assert one.allows(token)
            assert foreseeing.accept(token) == plain.accept(token) == (place == len(tokens) - 1)
            place += 1


def test_a_token_that_was_not_foreseen_leaves_nothing_of_what_was(model: LoadedModel) -> None:
    foreseeing, plain = grammar_of(model), grammar_of(model)
    opening = tokens_of(model)[:4]
    for token in opening:
        foreseeing.accept(token), plain.accept(token)
    drafts = model.backend_tokenizer.encode("one two", add_special_tokens=False).ids
    (other,) = model.backend_tokenizer.encode('",', add_special_tokens=False).ids
    foreseeing.foresee(drafts)
    assert foreseeing.accept(other) == plain.accept(other) is False
    assert (foreseeing.allowed().bits == plain.allowed().bits).all()


def test_where_a_token_is_forced_no_other_is_allowed(model: LoadedModel) -> None:
    grammar, forced = grammar_of(model), 0
    for token in tokens_of(model):
        if (must := grammar.forced()) is not None:
            assert must == token == grammar.allowed().only
            forced += 1
        grammar.accept(token)
    assert forced >= 8


def test_drafts_are_cut_where_the_grammar_does_not_go_on(model: LoadedModel) -> None:
    grammar, tokens = grammar_of(model), tokens_of(model)
    assert grammar.follows(tokens) == len(tokens)
    assert grammar.follows([*tokens[:3], tokens[0], *tokens[3:]]) == 3
    assert grammar.follows([]) == 0


def test_a_token_that_is_not_allowed_is_an_error(model: LoadedModel) -> None:
    with pytest.raises(InvalidGrammarError):
        grammar_of(model).accept(tokens_of(model)[3])
    with pytest.raises(InvalidGrammarError):
        grammar_of(model).foresee(tokens_of(model)[3:])
