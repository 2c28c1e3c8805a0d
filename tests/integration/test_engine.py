"""The engine is right whatever else runs beside it: with a small model, and with the default one where that says more;
`make test-long` tries all with both."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable

import pytest
import torch

from benchmarks.isolating.thread_engine import ThreadEngine
from decoder_service.engine.building import hello_of, runner_of
from decoder_service.engine.client import EngineOverloadedError, SequenceFailedError, SequenceHandle
from decoder_service.engine.engine import Engine
from decoder_service.engine.messages import Decoded, Output, Sampling, TurnBegan, TurnEnded, TurnSpec
from decoder_service.engine.pages import PAGE_TOKENS, PageBudget
from decoder_service.engine.runner import ModelRunner, ModuleRunner
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.sequence import Piece
from decoder_service.engine.speculation import Speculation
from decoder_service.models.errors import UnsupportedModelError
from decoder_service.models.loader import LoadedModel
from decoder_service.settings import DecoderSettings
from decoder_service.text.grammar_text import GrammarText
from decoder_service.text.stops import TurnStop
from decoder_service.text.template import ChatTemplate, Message, ToolText
from tests.processes import until

pytestmark = pytest.mark.timeout(240)  # the first test may have to convert the model


async def start(
    model: LoadedModel,
    *,
    pages: int = 250,
    max_running: int = 8,
    max_sequences: int = 64,
    runner: ModelRunner | None = None,
    speculation: Speculation | None = None,
) -> ThreadEngine:
    scheduler = Scheduler(PageBudget(pages), max_running, prefill_chunk=16)
    context = pages * PAGE_TOKENS
    runner = runner or runner_of(DecoderSettings(), model, pages, min(context, model.context))
    engine = Engine(runner, scheduler, model.text.tokenizer, model.end_tokens, context, speculation)
    return await ThreadEngine.start(engine, model.compiler, max_sequences)


@pytest.fixture(params=["small", pytest.param("default", marks=pytest.mark.slow)])
def model(request: pytest.FixtureRequest, default_model: LoadedModel, small_model: LoadedModel) -> LoadedModel:
    return {"small": small_model, "default": default_model}[request.param]


@pytest.fixture
async def engine(request: pytest.FixtureRequest, model: LoadedModel) -> AsyncIterator[ThreadEngine]:
    """With `modules`, transformers' own modules run the model."""
    modules = getattr(request, "param", "lean") == "modules"
    thread = await start(model, runner=ModuleRunner(model.model, 250) if modules else None)
    yield thread
    await thread.stop()


def prompt_of(model: LoadedModel, question: str) -> list[int]:
    return ChatTemplate(model.text).prompt([Message("user", question)], "", [])


async def outputs_of(handle: SequenceHandle) -> list[Output]:
    return [output async for output in handle.turn()]


def tokens_of(outputs: list[Output]) -> list[int]:
    return list(itertools.chain.from_iterable(output.tokens for output in outputs if isinstance(output, Decoded)))


def text_of(outputs: list[Output]) -> str:
    return "".join(output.text for output in outputs if isinstance(output, Decoded))


def ended(outputs: list[Output]) -> TurnEnded:
    assert isinstance(outputs[-1], TurnEnded)
    return outputs[-1]


def generated(model: LoadedModel, prompt: list[int], count: int, told: list[int]) -> list[int]:
    """What transformers' greedy `generate` gives for `count` tokens at most, up to where `told` first says otherwise.

    One pass over what was told finds it; what follows a token does not change what is likeliest after it.
    """
    with torch.inference_mode():
        logits = model.model(torch.tensor([[*prompt, *told]])).logits[0, len(prompt) - 1 :]
    likeliest = logits.argmax(-1).tolist()[:count]
    end = next((place for place, token in enumerate(likeliest, 1) if token in model.end_tokens), count)
    return likeliest[:end]


with_the_default_model = pytest.mark.parametrize("model", ["default"], indirect=True)


@with_the_default_model
async def test_a_second_turn_computes_only_the_new_tokens(model: LoadedModel, engine: ThreadEngine) -> None:
    prompt = prompt_of(model, "What is a cat?")
    handle = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=10))
    first = await outputs_of(handle)
    fresh = model.tokenizer("<|im_end|>\n<|im_start|>user\nAnd a dog?<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    handle.resume(fresh, TurnSpec(max_tokens=10))
    second = await outputs_of(handle)
    engine.release(handle)
    whole = [*prompt, *tokens_of(first), *fresh]
    assert second[0] == TurnBegan(handle.id, len(whole), len(prompt) + 9)  # the last decoded token had not been run yet
    assert tokens_of(second) == generated(model, whole, 10, tokens_of(second))


@pytest.mark.parametrize("engine", ["lean", "modules"], indirect=True)
@pytest.mark.parametrize("wrong", [False, True])
async def test_a_turn_after_what_was_prepared_is_the_same_as_without(
    model: LoadedModel, engine: ThreadEngine, wrong: bool
) -> None:
    prompt = prompt_of(model, "What is a cat?")
    handle = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=10))
    first = await outputs_of(handle)
    result = "\n".join(f"Cat number {number} is {number} years old." for number in range(8))
    fresh = ChatTemplate(model.text).continuation([], [ToolText("cats", result)], ())
    guess, right = [*fresh[:-6], 5, 6, 7], len(fresh) - 6
    if wrong:
        guess[20], right = 5, 20
    sequence = engine.engine._sequences[handle.id]
    for start, end in ((0, 30), (30, len(guess))):
        handle.prepare(start, guess[start:end])
        await until(lambda end=end: (sequence.ahead, sequence.uncached) == (end, 1))  # type: ignore[misc]
    handle.resume(fresh, TurnSpec(max_tokens=10))
    second = await outputs_of(handle)
    engine.release(handle)
    whole = [*prompt, *tokens_of(first), *fresh]
    assert second[0] == TurnBegan(handle.id, len(whole), len(prompt) + 10 + right)
    assert tokens_of(second) == generated(model, whole, 10, tokens_of(second))


@pytest.mark.parametrize("prepared", [False, True])
async def test_a_sequence_that_lost_its_pages_goes_on_the_same(model: LoadedModel, prepared: bool) -> None:
    engine = await start(model, pages=8)
    prompt = prompt_of(model, "What is a cat?")
    parked = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=6))
    first = await outputs_of(parked)
    if prepared:
        parked.prepare(0, [198, *[5] * 1000])  # more than fits
        sequence = engine.engine._sequences[parked.id]
        await until(lambda: sequence.cached == 8 * PAGE_TOKENS - 1)
    other = [5, *prompt]  # shares nothing
    spec = TurnSpec(max_tokens=8 * PAGE_TOKENS - len(other), replay=tuple(other * 9))
    greedy = engine.begin(other, Sampling(), spec)  # wants all pages
    await outputs_of(greedy)
    engine.release(greedy)
    parked.resume([198], TurnSpec(max_tokens=6))
    second = await outputs_of(parked)
    await engine.stop()
    assert second[0] == TurnBegan(parked.id, len(prompt) + 7, 0)
    whole = [*prompt, *tokens_of(first), 198]
    assert tokens_of(second) == generated(model, whole, 6, tokens_of(second))


async def test_a_seed_makes_sampling_repeatable_in_any_company(model: LoadedModel, engine: ThreadEngine) -> None:
    prompt = prompt_of(model, "Tell me a story.")
    sampling = Sampling(temperature=1.0, top_p=0.9, top_k=50, seed=7)

    async def sample(sampling: Sampling) -> list[int]:
        handle = engine.begin(prompt, sampling, TurnSpec(max_tokens=12))
        try:
            return tokens_of(await outputs_of(handle))
        finally:
            engine.release(handle)

    alone = await sample(sampling)
    beside = await asyncio.gather(sample(sampling), sample(Sampling(temperature=1.0, seed=8)), sample(Sampling()))
    assert alone == beside[0]
    assert len({tuple(tokens) for tokens in beside}) == 3


async def test_replayed_text_is_said_and_the_turn_ends(model: LoadedModel, engine: ThreadEngine) -> None:
    text = "Say naïve things 👩‍👩‍👧, twice.\n"
    replay = tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"])
    handle = engine.begin(prompt_of(model, "Hi"), Sampling(), TurnSpec(max_tokens=100, replay=replay))
    outputs = await outputs_of(handle)
    engine.release(handle)
    assert text_of(outputs) == text
    assert ended(outputs) == TurnEnded(handle.id, "stop", len(replay) + 1)  # the end of the turn is a token too


async def test_stop_strings_and_turn_stops_end_a_turn(model: LoadedModel, engine: ThreadEngine) -> None:
    replay = tuple(model.tokenizer("one two three four", add_special_tokens=False)["input_ids"])

    async def run(**spec: object) -> list[Output]:
        handle = engine.begin(prompt_of(model, "Hi"), Sampling(), TurnSpec(max_tokens=100, replay=replay, **spec))
        try:
            return await outputs_of(handle)
        finally:
            engine.release(handle)

    cut, kept = await run(stop=(" three",)), await run(turn_stops=(TurnStop("one", "three"),))
    assert (text_of(cut), ended(cut).reason) == ("one two", "stop")
    assert (text_of(kept), ended(kept).reason) == ("one two three", "stop")


async def test_a_grammar_is_followed_and_ends_the_turn(model: LoadedModel, engine: ThreadEngine) -> None:
    age = {"type": "integer", "minimum": 0, "maximum": 99}
    schema = {"type": "object", "properties": {"age": age}, "required": ["age"], "additionalProperties": False}
    spec = TurnSpec(max_tokens=40, grammar=GrammarText("json_schema", json.dumps(schema)))
    handle = engine.begin(prompt_of(model, "Write a poem."), Sampling(), spec)
    outputs = await outputs_of(handle)
    engine.release(handle)
    assert text_of(outputs).startswith('{"age": ') and text_of(outputs).endswith("}")
    assert ended(outputs).reason == "stop"


class Drafting(Speculation):
    """Drafts whatever the machine takes for it."""

    def observe(self, pieces: Iterable[Piece], seconds: float) -> None:
        super().observe(pieces, 1.0)


@with_the_default_model  # it repeats itself
@pytest.mark.parametrize("lean", [True, False])
async def test_drafts_and_forced_tokens_change_nothing_but_the_steps(model: LoadedModel, lean: bool) -> None:
    def turn(grammar: bool) -> TurnSpec:
        age = {"type": "integer", "minimum": 0, "maximum": 99}
        schema = {"type": "object", "properties": {"name of the cat": {"enum": ["Tom", "Kit"]}, "its age": age}}
        rule = GrammarText("json_schema", json.dumps(schema | {"required": list(schema["properties"])}))
        return TurnSpec(max_tokens=24, grammar=rule if grammar else None)

    async def run(speculation: Speculation | None) -> list[list[Output]]:
        runner = None if lean else ModuleRunner(model.model, 500)
        engine = await start(model, pages=500, runner=runner, speculation=speculation)
        repetitive = model.tokenizer("one two three four five, " * 4)["input_ids"]
        asked = [(Sampling(), False), (Sampling(temperature=0.4, top_p=0.9, seed=5), False)]
        asked += [(Sampling(), True), (Sampling(temperature=1.0, seed=6), True)]
        handles = [engine.begin(repetitive, sampling, turn(grammar)) for sampling, grammar in asked]
        answers = await asyncio.gather(*map(outputs_of, handles))
        await engine.stop()
        return answers

    plain, sped_up = await run(None), await run(Drafting())
    for slow, fast in zip(plain, sped_up, strict=True):
        assert tokens_of(fast) == tokens_of(slow)
        assert text_of(fast) == text_of(slow)
        assert ended(fast) == ended(slow)
        assert len(fast) < len(slow)


async def test_a_turn_can_be_ended_and_a_sequence_released_at_any_time(
    model: LoadedModel, engine: ThreadEngine
) -> None:
    handle = engine.begin(prompt_of(model, "Count to a thousand."), Sampling(), TurnSpec(max_tokens=500))
    other = engine.begin(prompt_of(model, "Count to a thousand."), Sampling(), TurnSpec(max_tokens=500))
    reasons = []
    async for output in handle.turn():
        if isinstance(output, Decoded):
            handle.end_turn("veto")
        if isinstance(output, TurnEnded):
            reasons.append(output.reason)
    engine.release(other)
    engine.release(other)
    last = engine.begin(prompt_of(model, "Hi"), Sampling(), TurnSpec(max_tokens=1))
    await outputs_of(last)
    assert reasons == ["veto"]
    assert engine.counts() == {"waiting": 0, "running": 0, "parked": 2, "returning": 0}


async def test_over_capacity_is_refused_at_once(model: LoadedModel) -> None:
    engine = await start(model, max_sequences=1)
    first = engine.begin([1], Sampling(), TurnSpec(max_tokens=1))
    with pytest.raises(EngineOverloadedError):
        engine.begin([1], Sampling(), TurnSpec(max_tokens=1))
    engine.release(first)
    engine.begin([1], Sampling(), TurnSpec(max_tokens=1))
    await engine.stop()


async def test_a_forward_pass_that_fails_takes_only_its_sequences_along(
    model: LoadedModel, engine: ThreadEngine
) -> None:
    runner = engine.engine._runner
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run", lambda *_: 1 / 0)
        broken = engine.begin(prompt_of(model, "Hi"), Sampling(), TurnSpec(max_tokens=2))
        with pytest.raises(SequenceFailedError):
            await outputs_of(broken)
    engine.release(broken)
    well = engine.begin(prompt_of(model, "Hi"), Sampling(), TurnSpec(max_tokens=2))
    assert ended(await outputs_of(well)).completion_tokens == 2
    assert not engine.failed.is_set()


async def test_an_engine_that_breaks_tells_everybody(model: LoadedModel) -> None:
    engine = await start(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.engine, "step", lambda: 1 / 0)
        handle = engine.begin(prompt_of(model, "Hi"), Sampling(), TurnSpec(max_tokens=2))
        with pytest.raises(SequenceFailedError):
            await outputs_of(handle)
    assert engine.failed.is_set()
    with pytest.raises(SequenceFailedError):
        engine.begin([1], Sampling(), TurnSpec(max_tokens=1))
    await engine.stop()


async def test_a_hardly_positive_temperature_is_greedy_and_harms_no_neighbour(
    model: LoadedModel, engine: ThreadEngine
) -> None:
    prompt = prompt_of(model, "Hi")
    handles = [
        engine.begin(prompt, Sampling(temperature=heat, seed=1), TurnSpec(max_tokens=4)) for heat in (0, 1e-40, 1e-3)
    ]
    answers = [tokens_of(await outputs_of(handle)) for handle in handles]
    assert answers[0] == answers[1] == answers[2]


async def test_a_sequence_whose_token_cannot_be_chosen_fails_alone(
    model: LoadedModel, engine: ThreadEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def foresee(self) -> None:
            raise RuntimeError("broken")

        forced = foresee

    monkeypatch.setattr(model.compiler, "compile", lambda _: Broken())
    prompt = prompt_of(model, "Hi")
    neighbour = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=6))
    broken = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=6, grammar=GrammarText("lark", "start: /a/")))
    with pytest.raises(SequenceFailedError):
        await outputs_of(broken)
    assert ended(await outputs_of(neighbour)).completion_tokens == 6


async def test_a_prompt_begins_with_what_another_has_computed_and_goes_on_the_same(
    model: LoadedModel, engine: ThreadEngine
) -> None:
    system = "You answer in one word. " * 12
    template = ChatTemplate(model.text)
    prompts = [
        template.prompt([Message("system", system), Message("user", question)], "", [])
        for question in ("What is red?", "What is blue?", "What is red?")
    ]
    for number, prompt in enumerate(prompts):
        handle = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=6))
        outputs = await outputs_of(handle)
        engine.release(handle)
        began = outputs[0]
        assert isinstance(began, TurnBegan)
        assert (began.cached_tokens >= 4 * PAGE_TOKENS) == bool(number)
        assert tokens_of(outputs) == generated(model, prompt, 6, tokens_of(outputs))


async def test_logits_that_are_no_numbers_end_their_sequence_alone_and_leave_nothing_behind(
    model: LoadedModel, engine: ThreadEngine
) -> None:
    runner = engine.engine._runner
    run, pages = runner.run, []
    prompts = [prompt_of(model, question) for question in ("What is a cat? " * 5, "What is a dog? " * 5)]

    def broken(pieces: tuple[Piece, ...]) -> torch.Tensor:
        logits = run(pieces).clone()
        for place, piece in enumerate(pieces):
            if piece.sequence.tokens[: len(prompts[0])] == prompts[0]:
                logits[place, 3] = float("nan")
                pages.extend(piece.sequence.pages)
                runner._cache[piece.sequence.pages[-1]] = float("nan")
        return logits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run", broken)
        handles = [engine.begin(prompt, Sampling(), TurnSpec(max_tokens=6)) for prompt in prompts]
        with pytest.raises(SequenceFailedError, match="not a number"):
            await outputs_of(handles[0])
        beside = tokens_of(await outputs_of(handles[1]))
        assert beside == generated(model, prompts[1], 6, beside)
    assert pages
    again = engine.begin(prompts[0], Sampling(), TurnSpec(max_tokens=6))
    well = tokens_of(await outputs_of(again))
    assert well == generated(model, prompts[0], 6, well)


async def test_what_can_never_fit_fails_alone(model: LoadedModel) -> None:
    engine = await start(model, pages=4)
    well = engine.begin(prompt_of(model, "Hi"), Sampling(), TurnSpec(max_tokens=2))
    for prompt, why in ((list(range(100)), "100 tokens leave no room"), ([], "no token")):
        handle = engine.begin(prompt, Sampling(), TurnSpec(max_tokens=4))
        with pytest.raises(SequenceFailedError, match=why):
            await outputs_of(handle)
    assert ended(await outputs_of(well)).completion_tokens == 2
    well.resume([5] * 100, TurnSpec(max_tokens=2))
    with pytest.raises(SequenceFailedError, match="leave no room"):
        await outputs_of(well)
    assert not engine.failed.is_set()
    assert engine.counts() == {"waiting": 0, "running": 0, "parked": 0, "returning": 0}
    await engine.stop()


@pytest.mark.parametrize(("gib", "why"), [(4096, "more than the .* GiB that are left"), (1e-6, "holds no page")])
async def test_a_cache_that_the_machine_cannot_hold_or_that_holds_nothing_is_refused_before_anything_runs(
    model: LoadedModel, gib: float, why: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=f"kv_cache_gib = .*{why}"):
        hello_of(DecoderSettings(kv_cache_gib=gib), model)
