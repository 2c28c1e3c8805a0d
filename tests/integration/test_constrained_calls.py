"""A call under a grammar is valid whatever the model: each parses, and its arguments are what the schema asks for."""

from collections.abc import Sequence as Several
from typing import Any

import jsonschema_rs
import pytest
import torch

from decoder_service.engine.building import runner_of
from decoder_service.engine.engine import Engine
from decoder_service.engine.messages import Begin, Decoded, Failed, Sampling, TurnEnded, TurnSpec
from decoder_service.engine.pace import LEAST_CHUNK
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget
from decoder_service.engine.runner import ModelRunner
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.sequence import Piece
from decoder_service.models.loader import LoadedModel
from decoder_service.settings import DecoderSettings
from decoder_service.text.grammar_text import GrammarText
from decoder_service.text.template import ChatTemplate, Message
from tests.unit.tool_service.formats.turns import calls_of, parse
from tool_service.formats import FORMATS
from tool_service.formats.format import ToolSchema

pytestmark = pytest.mark.timeout(240)  # the first test may have to convert the model

# What is bounded, so that every sentence ends whoever writes it.
FLIGHT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "origin": {"type": "string", "maxLength": 6},
        "seats": {"type": "integer", "minimum": 1, "maximum": 9},
        "class": {"$ref": "#/$defs/Class"},
        "flexible": {"type": "boolean"},
        "stops": {"type": "array", "items": {"type": "string", "pattern": "^[A-Z]{3}$"}, "maxItems": 2},
    },
    "required": ["origin", "seats", "class"],
    "additionalProperties": False,
    "$defs": {"Class": {"enum": ["economy", 'first "class" é']}},
}
ROUTE = {
    "type": "object",
    "properties": {"from": {"$ref": "#/$defs/Point"}, "to": {"$ref": "#/$defs/Point"}},
    "required": ["from", "to"],
    "additionalProperties": False,
    "$defs": {
        "Point": {
            "type": "object",
            "properties": {
                "north": {"type": "integer", "minimum": -90, "maximum": 90},
                "label": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 4}]},
            },
            "required": ["north", "label"],
            "additionalProperties": False,
        }
    },
}
SCHEMAS = {"book_flight": FLIGHT, "find_route": ROUTE}
TOOLS = [ToolSchema(name, "Does it.", schema) for name, schema in SCHEMAS.items()]

WITH_ARGUMENTS = sorted(name for name, format_ in FORMATS.items() if not format_.only_tool)
BY_DEFAULT = {"functiongemma", "hermes", "pythonic", "qwen3_coder"}  # one of each family
MAX_TOKENS = 200
PAGES = 250


class NoiseRunner:
    """A model that has learned nothing: random logits, spread as widely as a model's are."""

    least_chunk = LEAST_CHUNK

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._random = torch.Generator().manual_seed(3)

    def run(self, pieces: Several[Piece]) -> torch.Tensor:
        for piece in pieces:
            piece.sequence.cached += piece.count
        return torch.randn(len(pieces), self._vocabulary, generator=self._random) * 3

    def clear(self, pages: list[int]) -> None: ...


def written(model: LoadedModel, runner: ModelRunner, grammar: str, temperature: float, seeds: int) -> list[str]:
    """A turn for each seed, all at once. Raises AssertionError where one was not ended by its grammar."""
    scheduler = Scheduler(PageBudget(PAGES), max_running=16, prefill_chunk=128)
    engine = Engine(runner, scheduler, model.text.tokenizer, model.end_tokens, PAGES * PAGE_TOKENS)
    prompt = tuple(ChatTemplate(model.text).prompt([Message("user", "Fly me to the moon.")], "", []))
    texts = dict.fromkeys(range(seeds), "")
    outputs = []
    for seed in texts:
        begin = Begin(seed, prompt, Sampling(temperature=temperature, seed=seed), TurnSpec(MAX_TOKENS))
        outputs += engine.execute(begin, model.compiler.compile(GrammarText("lark", grammar)))
    while engine.busy():
        outputs += engine.step()
    for output in outputs:
        match output:
            case Decoded(id=seed, text=text):
                texts[seed] += text
            case TurnEnded(id=seed, reason=reason):
                assert reason == "stop", texts[seed]
            case Failed(message=message):
                raise AssertionError(message)
    return list(texts.values())


def check(format_name: str, text: str) -> None:
    ((name, arguments),) = calls_of(parse(format_name, text, tools=SCHEMAS, constrained=True))
    assert isinstance(arguments, dict), (text, arguments)
    jsonschema_rs.validate(SCHEMAS[name], arguments)


@pytest.mark.parametrize(
    "format_name",
    [name if name in BY_DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in WITH_ARGUMENTS],
)
def test_what_a_model_that_knows_nothing_writes_is_a_valid_call(model: LoadedModel, format_name: str) -> None:
    grammar = FORMATS[format_name].grammar(TOOLS)
    texts = written(model, NoiseRunner(model.model.config.vocab_size), grammar, 1.5, 8)
    assert len(set(texts)) > len(texts) // 2
    for text in texts:
        check(format_name, text)


@pytest.mark.parametrize("format_name", ["hermes", pytest.param("json", marks=pytest.mark.slow)])  # of one family
def test_a_heated_model_writes_valid_calls_of_every_tool_with_every_seed(model: LoadedModel, format_name: str) -> None:
    runner = runner_of(DecoderSettings(), model, PAGES, model.context)
    texts = written(model, runner, FORMATS[format_name].grammar(TOOLS), 2.0, 12)
    assert {name for name in SCHEMAS if any(f'"{name}"' in text for text in texts)} == SCHEMAS.keys()
    for text in texts:
        check(format_name, text)
