"""Grammars over the default model's tokenizer: what is foreseen is what is so."""

import json
import random

import numpy as np
import numpy.typing as npt
import pytest

from decoder_service.models.loader import LoadedModel
from decoder_service.text.grammar import MOST_KEPT_CHARS, Grammar, GrammarCompiler, InvalidGrammarError
from decoder_service.text.grammar_text import GrammarText

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
    return model.compiler.compile(GrammarText("json_schema", json.dumps(SCHEMA)))


def tokens_of(model: LoadedModel) -> list[int]:
    return list(model.text.tokenizer.encode(SENTENCE, add_special_tokens=False).ids)


def allowed(grammar: Grammar, of: int = 49152) -> npt.NDArray[np.bool_]:
    return np.isfinite(grammar.filter(np.zeros(of, np.float32)))


def test_what_is_foreseen_is_what_is_so(model: LoadedModel) -> None:
    foreseeing, plain = grammar_of(model), grammar_of(model)
    for token in tokens_of(model):
        foreseeing.foresee()
        assert (allowed(foreseeing) == allowed(plain)).all()
        assert foreseeing.accept(token) == plain.accept(token)


def test_one_token_is_allowed_where_it_is_among_all_that_are(model: LoadedModel) -> None:
    grammar, luck, choices = grammar_of(model), random.Random(0), 0
    for token in tokens_of(model):
        if grammar.forced() is None:
            may = allowed(grammar)
            tried = [*luck.sample(range(len(may)), 500), *np.flatnonzero(may)[:500].tolist(), *model.end_tokens]
            assert [grammar.allows(one) for one in tried] == may[tried].tolist()
            choices += 1
        grammar.accept(token)
    assert choices >= 8


def test_where_a_token_is_forced_no_other_is_allowed(model: LoadedModel) -> None:
    grammar, forced = grammar_of(model), 0
    for token in tokens_of(model):
        if (must := grammar.forced()) is not None:
            assert must == token and np.flatnonzero(allowed(grammar)).tolist() == [token]
            forced += 1
        grammar.accept(token)
    assert forced >= 8


def test_what_is_forced_next_is_what_would_be_found_anew(model: LoadedModel) -> None:
    going, tokens = grammar_of(model), tokens_of(model)
    for place, token in enumerate(tokens):
        anew = grammar_of(model)
        for before in tokens[:place]:
            anew.accept(before)
        assert going.forced() == anew.forced()
        going.accept(token)


def test_the_likeliest_is_the_first_of_the_likeliest_that_are_allowed(model: LoadedModel) -> None:
    grammar, luck, few = grammar_of(model), np.random.default_rng(0), 0
    for token in tokens_of(model):
        for of in (49152, 49152 + 64, 30_000):  # a model may know more tokens, and a row less
            logits = luck.integers(0, 50, of).astype(np.float32)  # many are as likely as others
            assert grammar.likeliest(logits) == int(grammar.filter(logits).argmax())
        few += int(allowed(grammar).sum()) < 100
        grammar.accept(token)
    assert 0 < few < len(tokens_of(model))


def test_drafts_are_cut_where_the_grammar_does_not_go_on(model: LoadedModel) -> None:
    grammar, tokens = grammar_of(model), tokens_of(model)
    assert grammar.follow(tokens) == len(tokens)
    assert grammar.follow([*tokens[:3], tokens[0], *tokens[3:]]) == 3


def test_a_token_that_the_tokenizer_has_not_may_not_come_and_breaks_nothing(model: LoadedModel) -> None:
    grammar, tokens = grammar_of(model), tokens_of(model)
    beyond = model.text.tokenizer.get_vocab_size() + 7
    assert not grammar.allows(beyond)
    assert grammar.follow([*tokens[:3], beyond, *tokens[3:]]) == 3
    assert [grammar.accept(token) for token in tokens[:3]] == [False] * 3


def test_a_token_that_is_not_allowed_is_an_error(model: LoadedModel) -> None:
    with pytest.raises(InvalidGrammarError):
        grammar_of(model).accept(tokens_of(model)[3])


def test_the_same_grammar_is_compiled_once_and_each_follows_its_own(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = GrammarCompiler(model.text.tokenizer, model.end_tokens)
    text = GrammarText("json_schema", json.dumps(SCHEMA))
    first, *others = compiler.compile(text), compiler.compile(text)
    tokens = tokens_of(model)
    for token in tokens[:5]:
        first.accept(token)
    monkeypatch.setattr(compiler, "_matcher", None)  # nothing can be compiled any more
    fresh = compiler.compile(text)
    for grammar in (*others, fresh):
        assert [grammar.accept(token) for token in tokens] == [False] * (len(tokens) - 1) + [True]
    assert [first.accept(token) for token in tokens[5:]] == [False] * (len(tokens) - 6) + [True]


def test_only_the_last_grammars_are_kept_and_no_large_one(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoder_service.text.grammar.MOST_KEPT", 2)
    compiler, compiled = GrammarCompiler(model.text.tokenizer, model.end_tokens), []
    make = compiler._matcher
    monkeypatch.setattr(compiler, "_matcher", lambda grammar: compiled.append(grammar) or make(grammar))
    a, b, c = (GrammarText("lark", f'start: "{letter}"') for letter in "abc")
    large = GrammarText("lark", f'start: "{"d" * MOST_KEPT_CHARS}"')
    for text, compiles in ((a, 1), (b, 1), (a, 0), (c, 1), (a, 0), (b, 1), (large, 1), (large, 1), (b, 0)):
        compiled.clear()
        compiler.compile(text)
        assert len(compiled) == compiles, text.text[:20]
