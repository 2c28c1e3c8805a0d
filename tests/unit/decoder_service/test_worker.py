"""An engine at work over a connection: grammars that are compiled beside it, and what each side does to the other."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from random import Random

import pytest

from benchmarks.isolating.thread_engine import ThreadEngine
from decoder_service.engine.client import EngineClient, GrammarRefusedError, SequenceFailedError, SequenceHandle
from decoder_service.engine.compiling import Compiled, Compiling
from decoder_service.engine.connection import frame, receive
from decoder_service.engine.engine import Engine
from decoder_service.engine.messages import (
    Begin,
    Command,
    Decoded,
    EndTurn,
    Expect,
    Release,
    Resume,
    Sampling,
    TurnEnded,
    TurnSpec,
)
from decoder_service.engine.pages import PageBudget
from decoder_service.engine.scheduler import Scheduler
from decoder_service.engine.worker import work
from decoder_service.text.grammar import Grammar, GrammarCompiler
from decoder_service.text.grammar_text import GrammarText
from tests.processes import until
from tests.unit.decoder_service.small_model import END_TOKEN, TOKENIZER, SmallModel

ENDS = frozenset({END_TOKEN})
PROMPT = [1, 2, 3]
QUICK, SLOW = GrammarText("lark", 'start: "quick"'), GrammarText("lark", 'start: "slow"')
FREE = TurnSpec(max_tokens=8, replay=(5,) * 7)
NOBODY = {"waiting": 0, "running": 0, "parked": 0, "returning": 0}


class Gated:
    """Compiles grammars whose text has "slow" in it only once `gate` is open. `asked`: for how many it was asked."""

    def __init__(self) -> None:
        self._compiler = GrammarCompiler(TOKENIZER, ENDS)
        self.gate = threading.Event()
        self.asked = 0

    def compile(self, grammar: GrammarText) -> Grammar:
        self.asked += 1
        if "slow" in grammar.text:
            self.gate.wait()
        return self._compiler.compile(grammar)


def small_engine() -> Engine:
    return Engine(SmallModel(0), Scheduler(PageBudget(100), 8, prefill_chunk=24), TOKENIZER, ENDS, 1000)


@pytest.fixture
def compiler() -> Gated:
    return Gated()


@pytest.fixture
async def engine(compiler: Gated) -> AsyncIterator[ThreadEngine]:
    engine = await ThreadEngine.start(small_engine(), compiler, 64)
    yield engine
    compiler.gate.set()
    await engine.stop()


async def said(handle: SequenceHandle) -> tuple[str, TurnEnded]:
    outputs = [output async for output in handle.turn()]
    assert isinstance(outputs[-1], TurnEnded)
    return "".join(output.text for output in outputs if isinstance(output, Decoded)), outputs[-1]


def under(grammar: GrammarText) -> TurnSpec:
    return TurnSpec(max_tokens=20, grammar=grammar)


async def test_a_grammar_that_takes_long_delays_its_own_sequence_alone(engine: ThreadEngine, compiler: Gated) -> None:
    slow = engine.begin(PROMPT, Sampling(), under(SLOW))
    others = [engine.begin(PROMPT, Sampling(), turn) for turn in (FREE, under(QUICK))]
    assert [(await said(other))[1].reason for other in others] == ["stop", "stop"]
    assert engine.counts() == {**NOBODY, "waiting": 1, "parked": 2}
    assert slow.outbox.empty()
    compiler.gate.set()
    assert (await said(slow))[0] == "slow"


async def test_a_later_turn_waits_for_its_grammar_too(engine: ThreadEngine, compiler: Gated) -> None:
    handle = engine.begin(PROMPT, Sampling(), FREE)
    await said(handle)
    handle.resume([1], under(SLOW))
    handle.expect(1.0)
    other = engine.begin(PROMPT, Sampling(), FREE)
    await said(other)
    assert handle.outbox.empty()
    assert engine.counts() == {**NOBODY, "parked": 2}
    compiler.gate.set()
    assert (await said(handle))[0] == "slow"


async def test_a_veto_before_the_turn_began_ends_nothing(engine: ThreadEngine, compiler: Gated) -> None:
    handle = engine.begin(PROMPT, Sampling(), under(SLOW))
    handle.end_turn("veto")
    compiler.gate.set()
    text, end = await said(handle)
    assert (text, end.reason) == ("slow", "stop")


async def test_what_is_released_before_its_turn_came_is_not_compiled(engine: ThreadEngine, compiler: Gated) -> None:
    grammars = [GrammarText("lark", f'start: "slow {number}"') for number in range(60)]  # more than there are threads
    handles = [engine.begin(PROMPT, Sampling(), under(grammar)) for grammar in grammars]
    await until(lambda: engine.counts()["waiting"] == 60 or engine.begin(PROMPT, Sampling(), FREE))
    for handle in handles:
        engine.release(handle)
    await until(lambda: engine.counts()["waiting"] == 0)
    compiler.gate.set()
    last = engine.begin(PROMPT, Sampling(), under(QUICK))
    assert (await said(last))[0] == "quick"
    assert compiler.asked < 60


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        (GrammarText("lark", "start: nonsense"), "unknown name"),
        (GrammarText("json_schema", '{"type": "nonsense"}'), "nonsense"),
        (GrammarText("json_schema", "{"), "Expecting property name"),
    ],
)
async def test_a_grammar_that_cannot_be_compiled_refuses_its_sequence_before_it_begins(
    engine: ThreadEngine, grammar: GrammarText, why: str
) -> None:
    handle, neighbour = (engine.begin(PROMPT, Sampling(), turn) for turn in (under(grammar), FREE))
    with pytest.raises(GrammarRefusedError, match=why):
        await anext(handle.turn())
    await said(neighbour)
    engine.release(handle)
    engine.release(neighbour)
    await until(lambda: engine.counts() == NOBODY)


@pytest.mark.parametrize("fault", [RuntimeError, SystemExit])
async def test_a_compiler_that_breaks_fails_its_sequence_alone(
    engine: ThreadEngine, compiler: Gated, fault: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: GrammarText) -> Grammar:
        raise fault

    first, neighbour = engine.begin(PROMPT, Sampling(), FREE), engine.begin(PROMPT, Sampling(), FREE)
    await said(first)
    monkeypatch.setattr(compiler, "compile", broken)
    first.resume([1], under(QUICK))
    with pytest.raises(SequenceFailedError, match="compiling the grammar failed"):
        await anext(first.turn())
    await said(neighbour)
    assert not engine.failed.is_set()
    assert engine.counts() == {**NOBODY, "parked": 1}


class Pool:
    """Nothing is compiled before it is said to be."""

    def __init__(self) -> None:
        self.results: list[Future[Grammar]] = []

    def submit(self, *_: object) -> Future[Grammar]:
        self.results.append(Future())
        return self.results[-1]

    def shutdown(self, **_: object) -> None: ...


@pytest.mark.parametrize("seed", range(50))
def test_the_commands_of_a_sequence_keep_their_order_whenever_its_grammars_are_there(
    seed: int, compiler: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    luck, pool, told = Random(seed), Pool(), list[Compiled]()
    compiling = Compiling(compiler, told.append)
    monkeypatch.setattr(compiling, "_pool", pool)
    spoken: dict[int, list[Command]] = {}
    carried_out: dict[int, list[Command]] = {}

    def carry_out(ready: list[tuple[Command, Grammar | None]]) -> None:
        for command, grammar in ready:
            wanted = isinstance(command, Begin | Resume) and command.turn.grammar is not None
            assert (grammar is not None) == wanted
            carried_out[command.id].append(command)

    def finish_one() -> None:
        waiting = [result for result in pool.results if not result.done()]
        if waiting:
            luck.choice(waiting).set_result(Grammar.__new__(Grammar))
        while told:
            carry_out(list(compiling.finish(told.pop())))

    for _ in range(60):
        id_, turn = luck.randrange(4), luck.choice((FREE, under(SLOW)))
        if id_ not in spoken:
            command: Command = Begin(id_, (1,), Sampling(), turn)
            spoken[id_], carried_out[id_] = [], []
        else:
            command = luck.choice(
                (Resume(id_, (luck.random(),), turn), EndTurn(id_, "veto"), Expect(id_, luck.random()))
            )  # type: ignore[arg-type]
        spoken[id_].append(command)
        carry_out(compiling.take(command))
        for one in spoken:
            assert carried_out[one] == spoken[one][: len(carried_out[one])]
        if luck.random() < 0.3:
            finish_one()
    gone = luck.randrange(4)
    until_then = list(carried_out.get(gone, []))
    if gone in spoken:
        carry_out(compiling.take(Release(gone)))
    while any(not result.done() for result in pool.results):
        finish_one()
    assert compiling.new_count == 0
    for id_, commands in spoken.items():
        assert carried_out[id_] == ([*until_then, Release(gone)] if id_ == gone else commands)


async def test_a_large_prompt_that_nobody_reads_does_not_hold_up_the_loop() -> None:
    ours, theirs = socket.socketpair()
    client = EngineClient(*await asyncio.open_unix_connection(sock=ours), 2)
    prompt = list(range(1_000_000))  # more than the connection holds
    with theirs:
        handle = client.begin(prompt, Sampling(), FREE)
        client.release(handle)
        first = await asyncio.to_thread(receive, theirs)
        assert list(first.prompt) == prompt
        assert await asyncio.to_thread(receive, theirs) == Release(handle.id)
        await client.close()


def test_an_engine_that_nobody_listens_to_waits_and_ends_with_the_connection(compiler: Gated) -> None:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least there is
    thread = threading.Thread(target=work, args=(theirs, small_engine(), compiler))
    thread.start()
    turn = TurnSpec(max_tokens=900, replay=(5,) * 900)
    with ours:
        for id_ in range(8):
            ours.sendall(frame(Begin(id_, (1,), Sampling(), turn)))
        receive(ours)
    thread.join(30)
    assert not thread.is_alive()


async def test_commands_are_read_whatever_the_step_takes(compiler: Gated, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, begun, go_on = small_engine(), threading.Event(), threading.Event()
    run = engine.step

    def step() -> list[object]:
        begun.set()
        go_on.wait()
        return run()  # type: ignore[return-value]

    monkeypatch.setattr(engine, "step", step)
    client = await ThreadEngine.start(engine, compiler, 2)
    handle = client.begin(PROMPT, Sampling(), FREE)
    await asyncio.to_thread(begun.wait)
    other = client.begin(list(range(1_000_000)), Sampling(), FREE)
    transport = client._writer.transport
    await until(lambda: transport.get_write_buffer_size() == 0)
    client.release(other)
    go_on.set()
    assert (await said(handle))[1].reason == "stop"
    await client.stop()
