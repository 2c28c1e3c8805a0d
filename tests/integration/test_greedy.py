"""Greedy decoding gives transformers' own tokens, whoever joins, leaves, parks, loses its pages and returns."""

import itertools
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from decoder_service.engine import engine as engine_module
from decoder_service.engine.building import runner_of
from decoder_service.engine.engine import Engine
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget
from decoder_service.engine.runner import ModelRunner, ModuleRunner
from decoder_service.engine.scheduler import Scheduler
from decoder_service.models.loader import LoadedModel
from decoder_service.settings import DecoderSettings
from tests.integration.traffic import Guest, Traffic

pytestmark = pytest.mark.timeout(600)  # the first test may have to convert the model

TEXT = """The little town lay between two rivers, and whoever wanted to leave it had to cross one of them. In spring the
water stood so high that the bridges were closed; then the baker's daughter rowed the letters over, and the answers back
in the evening. def area(radius): return 3.14159 * radius ** 2  # in square metres. "How many boats are there?" asked
the stranger. Nobody had counted. Berlin has 3.7 million people, Hamburg 1.9, Munich 1.5, and the list goes on with
Cologne, Frankfurt, Stuttgart. To make tea, boil water, wait one minute, and pour it over the leaves. """


AT_ONCE = 16  # guests in one pass of the reference


@dataclass(frozen=True, slots=True)
class Load:
    """Prompts of `prompt` tokens, every second after one of three beginnings; turns and results of so many tokens."""

    prompts: int
    prompt: tuple[int, int]
    turn: tuple[int, int]
    result: tuple[int, int]
    pages: int
    max_running: int = 8


SMALL = Load(64, prompt=(5, 34), turn=(2, 8), result=(1, 10), pages=36)
FEW = Load(16, prompt=(5, 34), turn=(2, 8), result=(1, 10), pages=20, max_running=4)
LARGE = Load(64, prompt=(5, 300), turn=(5, 60), result=(1, 80), pages=150)


def engine_of(model: LoadedModel, load: Load, lean: bool) -> Engine:
    context = load.pages * PAGE_TOKENS
    runner: ModelRunner = ModuleRunner(model.model, load.pages)
    if lean:
        runner = runner_of(DecoderSettings(), model, load.pages, context)
    scheduler = Scheduler(PageBudget(load.pages), load.max_running, prefill_chunk=64)
    return Engine(runner, scheduler, model.text.tokenizer, model.end_tokens, context)


def prompts_of(tokens: list[int], load: Load, random: Random) -> list[list[int]]:
    """Cuts of the text; every second one begins as others do, for a page or three."""

    def cut(length: int) -> list[int]:
        start = random.randrange(len(tokens) - length)
        return tokens[start : start + length]

    beginnings = [cut(PAGE_TOKENS * (number + 1)) for number in range(3)]
    prompts = [cut(random.randint(*load.prompt)) for _ in range(load.prompts)]
    return [[*random.choice(beginnings), *prompt] if n % 2 else prompt for n, prompt in enumerate(prompts)]


def strays(model: LoadedModel, guests: list[Guest]) -> dict[int, list[int]]:
    """By guest, the places where transformers, with all tokens before, finds another token likelier than the one
    decoded there. One pass for some guests of about the same length; what follows a token does not change it."""
    found: dict[int, list[int]] = {}
    ordered = sorted((guest for guest in guests if guest.decoded), key=lambda guest: len(guest.tokens))
    for some in (ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE)):
        with torch.inference_mode():
            rows = pad_sequence([torch.tensor(guest.tokens) for guest in some], batch_first=True)
            hidden = model.model.base_model(rows, use_cache=False).last_hidden_state
            for guest, row, states in zip(some, rows, hidden, strict=True):
                places = torch.tensor(guest.decoded)
                logits = model.model.get_output_embeddings()(states[places - 1])
                wrong = logits.gather(1, row[places, None])[:, 0] < logits.amax(-1)
                found[guest.id] = places[wrong].tolist()
    return {id_: places for id_, places in found.items() if places}


def random_clock(random: Random) -> SimpleNamespace:
    """Steps seem to take from one to nine hundredths of a second: so chunks of prompts have any length, and the same
    in every run."""
    ticks = itertools.accumulate(random.uniform(0.01, 0.09) for _ in itertools.count())
    return SimpleNamespace(perf_counter=lambda: next(ticks), monotonic=lambda: next(ticks))


@pytest.fixture
def model(request: pytest.FixtureRequest) -> LoadedModel:
    """By name. The small one says something else for every change of what came before."""
    found: LoadedModel = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("model", "runner", "load"),
    [
        ("small_model", "lean", SMALL),
        ("small_model", "modules", SMALL),
        ("default_model", "lean", FEW),
        pytest.param("default_model", "modules", FEW, marks=pytest.mark.slow),
        pytest.param("default_model", "lean", LARGE, marks=pytest.mark.slow),
        pytest.param("default_model", "modules", LARGE, marks=pytest.mark.slow),
    ],
    indirect=["model"],
)
def test_greedy_equals_transformers_through_joins_leaves_parks_evictions_and_recomputations(
    model: LoadedModel, runner: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(6)
    monkeypatch.setattr(engine_module, "time", random_clock(random))
    text = model.tokenizer(TEXT, add_special_tokens=False)["input_ids"] * (1 + load.prompt[1] // 100)
    engine = engine_of(model, load, runner == "lean")
    traffic = Traffic(engine, prompts_of(text, load, random), text, random, load.turn, load.result)
    traffic.run()
    assert strays(model, traffic.guests) == {}
    happened = traffic.tally
    assert len(traffic.guests) == load.prompts
    assert sum(len(guest.decoded) for guest in traffic.guests) >= load.prompts * sum(load.turn) / 2
    assert happened.most_running == load.max_running
    assert min(happened.recomputed, happened.kept) >= load.prompts // 8
    assert happened.shared >= load.prompts // 8
    assert happened.vetoed
    assert happened.left or load is FEW
    assert not any(engine.counts().values())


def test_a_token_that_is_not_the_likeliest_would_be_noticed(default_model: LoadedModel) -> None:
    model = default_model
    prompt = model.tokenizer("The capital of France is", add_special_tokens=False)["input_ids"]
    output = model.model.generate(torch.tensor([prompt]), max_new_tokens=3, do_sample=False)
    right = Guest(0, output[0].tolist(), 0, [len(prompt), len(prompt) + 1, len(prompt) + 2])
    wrong = Guest(1, [*right.tokens[:-1], right.tokens[-1] + 1], 0, right.decoded)
    shorter = Guest(2, right.tokens[:-2], 0, right.decoded[:1])
    assert strays(model, [right, wrong, shorter]) == {1: [len(prompt) + 2]}
