"""The step loop's body: schedule, run, choose, deliver.

Knows nothing of threads, processes or event loops; `worker` drives it.
"""

import itertools
import time
from dataclasses import replace

import structlog
import torch
from tokenizers import Tokenizer

from decoder_service.engine.extension import extend
from decoder_service.engine.foresight import Foresight
from decoder_service.engine.messages import (
    Begin,
    Command,
    Decoded,
    EndTurn,
    Expect,
    Failed,
    Output,
    Prepare,
    Release,
    Resume,
    TurnBegan,
    TurnEnded,
    TurnSpec,
)
from decoder_service.engine.runner import ModelRunner
from decoder_service.engine.sampler import Row, Sampler, rows_of
from decoder_service.engine.scheduler import NeverFitsError, Plan, Scheduler
from decoder_service.engine.sequence import Piece, Sequence, State
from decoder_service.engine.speculation import Speculation
from decoder_service.engine.turn import Turn
from decoder_service.text.detokenizer import Detokenizer
from decoder_service.text.grammar import Grammar, InvalidGrammarError

log = structlog.get_logger()

NOT_FINITE = (
    "the model's output is not a number; the prompt, or the type that the model computes in, is too much for it"
)


class Engine:
    """All sequences of one model.

    `end_tokens` end a turn; `context` is the most tokens that a sequence may have. Without `speculation` every step
    decodes one token of each sequence.
    """

    def __init__(
        self,
        runner: ModelRunner,
        scheduler: Scheduler,
        tokenizer: Tokenizer,
        end_tokens: frozenset[int],
        context: int,
        speculation: Speculation | None = None,
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens
        self._context = context
        self._sequences: dict[int, Sequence] = {}
        self._samplers: dict[int, Sampler] = {}
        self._turns: dict[int, Turn] = {}
        self._foresight = Foresight()
        self._speculation = speculation

    def close(self) -> None:
        """Ends what the engine runs beside itself, and lets go of the model and its cache, which are large, whoever
        still knows the engine. No step may follow."""
        self._foresight.close()
        self.__dict__.pop("_runner", None)

    def counts(self) -> dict[str, int]:
        """Sequences by state."""
        return self._scheduler.counts()

    @property
    def cache_usage(self) -> float:
        """The share of the cache that sequences hold, from 0 to 1."""
        return self._scheduler.cache_usage

    def busy(self) -> bool:
        """Whether the next step has something to run."""
        counts = self._scheduler.counts()
        return counts["running"] + counts["waiting"] + counts["returning"] > 0 or self._scheduler.prepares()

    def execute(self, command: Command, grammar: Grammar | None = None) -> list[Output]:
        """Carries out one command between steps. Commands about a sequence that is gone do nothing.

        `grammar`: that of the command's turn, compiled. Whatever is wrong with a command, it is its sequence alone that
        fails.
        """
        try:
            return self._execute(command, grammar)
        except NeverFitsError as error:
            return [self._fail(command.id, str(error))]
        except Exception:
            log.exception("command failed", command=type(command).__name__, sequence=command.id)
            return [self._fail(command.id, "the engine could not carry out a command")]

    def step(self) -> list[Output]:
        """Runs one step and gives what each sequence has to say; empty when there was nothing to do."""
        plan = self._with_drafts(self._scheduler.plan())
        if not plan:
            return []
        outputs = self._began(plan)
        try:
            logits = self._run(plan)
        except Exception:
            log.exception("forward pass failed", pieces=len(plan.pieces))
            return outputs + [
                self._distrust(piece.sequence, "the model's forward pass failed") for piece in plan.pieces
            ]
        return outputs + self._extend_all(plan, logits)

    def _execute(self, command: Command, grammar: Grammar | None) -> list[Output]:
        match command:
            case Begin():
                self._begin(command, grammar)
            case Prepare(id=id_) if id_ in self._sequences:
                self._prepare(command)
            case Resume(id=id_) if id_ in self._sequences:
                self._resume(command, grammar)
            case Expect(id=id_) if id_ in self._sequences:
                self._scheduler.expect(self._sequences[id_], command.returns_at)
            case EndTurn(id=id_) if id_ in self._turns:
                return self._cut(id_, command.reason)
            case Release(id=id_):
                self._release(id_)
        return []

    def _begin(self, command: Begin, grammar: Grammar | None) -> None:
        sequence = Sequence(command.id, list(command.prompt), 0)
        sequence.limit = self._limit(sequence, command.turn)
        self._samplers[command.id] = Sampler(command.sampling)
        self._turns[command.id] = self._turn(command.turn, grammar)
        self._scheduler.add(sequence)
        self._sequences[command.id] = sequence

    def _prepare(self, command: Prepare) -> None:
        sequence = self._sequences[command.id]
        room = self._context - (len(sequence.tokens) - sequence.ahead) - command.start
        self._scheduler.prepare(sequence, command.start, command.tokens[: max(0, room)])

    def _resume(self, command: Resume, grammar: Grammar | None) -> None:
        sequence = self._sequences[command.id]
        sequence.follow(command.tokens)
        sequence.limit = self._limit(sequence, command.turn)
        self._turns[command.id] = self._turn(command.turn, grammar)
        self._scheduler.resume(sequence)

    def _limit(self, sequence: Sequence, spec: TurnSpec) -> int:
        return min(len(sequence.tokens) + spec.max_tokens, self._context)

    def _turn(self, spec: TurnSpec, grammar: Grammar | None) -> Turn:
        return Turn(spec, Detokenizer(self._tokenizer), self._end_tokens, grammar)

    def _cut(self, id_: int, reason: str) -> list[Output]:
        if self._sequences[id_].state is not State.RUNNING:
            return []
        held = self._turns[id_].stops.close()
        text: list[Output] = [Decoded(id_, (), held)] if held else []
        return text + self._end_turn(self._sequences[id_], reason)

    def _release(self, id_: int) -> None:
        sequence = self._sequences.pop(id_, None)
        if sequence is not None:
            self._scheduler.remove(sequence)
        self._samplers.pop(id_, None)
        self._turns.pop(id_, None)
        if self._speculation is not None:
            self._speculation.forget(id_)

    def _with_drafts(self, plan: Plan) -> Plan:
        if self._speculation is None or not plan.may_draft:
            return plan
        return replace(plan, pieces=self._speculation.with_drafts(plan.pieces, self._plausible))

    def _plausible(self, id_: int, draft: tuple[int, ...]) -> tuple[int, ...]:
        """As much of a draft as may be what the sequence says next."""
        try:
            return self._turns[id_].plausible(draft)
        except Exception:  # whatever is wrong comes up again where the sequence chooses, which then fails alone
            return ()

    def _run(self, plan: Plan) -> torch.Tensor:
        began = time.perf_counter()
        with self._foresight.of(self._foreseeing(plan)):
            logits = self._runner.run(plan.pieces)
        self._observe(plan, time.perf_counter() - began)
        return logits

    def _observe(self, plan: Plan, seconds: float) -> None:
        if not any(piece.drafts for piece in plan.pieces):  # what a prompt joins has none
            self._scheduler.observe(plan.decoding, plan.prefilled, seconds)
        if self._speculation is not None and not plan.prefilled:
            self._speculation.observe(plan.pieces, seconds)

    def _foreseeing(self, plan: Plan) -> list[Grammar]:
        """The grammars that will be asked for all that may come: by those who draw, and mostly where a turn begins.

        The likeliest token is mostly one that may come, and that is known at once.
        """
        grammars = []
        for piece in plan.pieces:
            sequence, turn = piece.sequence, self._turns.get(piece.sequence.id)
            if turn is None or turn.grammar is None or piece.count < sequence.uncached:
                continue  # a parked sequence has no turn
            if not turn.decoded or not self._samplers[sequence.id].is_greedy:
                grammars.append(turn.grammar)
        return grammars

    def _began(self, plan: Plan) -> list[Output]:
        outputs: list[Output] = []
        for piece in plan.pieces:
            turn, sequence = self._turns.get(piece.sequence.id), piece.sequence
            if turn is not None and not turn.began:  # a parked sequence has none
                turn.began = True
                outputs.append(TurnBegan(sequence.id, len(sequence.tokens), sequence.cached))
        return outputs

    def _extend_all(self, plan: Plan, logits: torch.Tensor) -> list[Output]:
        outputs: list[Output] = []
        rows = iter(rows_of(logits))
        for piece in plan.pieces:
            own = list(itertools.islice(rows, piece.rows))
            if piece.sequence.uncached:
                continue  # a prompt, or what a grammar forces, goes on
            outputs += self._extend(piece, own) if own[0].sound else [self._distrust(piece.sequence, NOT_FINITE)]
        return outputs

    def _extend(self, piece: Piece, rows: list[Row]) -> list[Output]:
        sequence, room = piece.sequence, piece.sequence.limit - len(piece.sequence.tokens)
        turn, sampler = self._turns[sequence.id], self._samplers[sequence.id]
        try:
            extension = extend(turn, sampler, rows, piece.drafts, room, force=self._speculation is not None)
        except InvalidGrammarError as error:
            return [self._fail(sequence.id, f"the grammar could not be followed: {error}")]
        except Exception:  # whatever one sequence does to itself, the others go on
            log.exception("choosing a token failed", sequence=sequence.id)
            return [self._fail(sequence.id, "choosing a token failed")]
        if self._speculation is not None:
            self._speculation.learn(sequence.id, extension.chosen)
        fresh = extension.chosen + extension.forced
        sequence.tokens += fresh
        sequence.cached += len(extension.chosen) - 1  # drafts that were right; the others' places are written again
        outputs: list[Output] = [Decoded(sequence.id, tuple(fresh), extension.text)]
        return outputs if extension.ended is None else outputs + self._end_turn(sequence, extension.ended)

    def _end_turn(self, sequence: Sequence, reason: str) -> list[Output]:
        turn = self._turns.pop(sequence.id)
        self._scheduler.park(sequence)
        return [TurnEnded(sequence.id, reason, turn.decoded)]

    def _fail(self, id_: int, message: str) -> Output:
        self._release(id_)
        return Failed(id_, message)

    def _distrust(self, sequence: Sequence, message: str) -> Output:
        """Fails a sequence whose keys and values may be wrong: they are wiped, and nobody begins with them."""
        self._runner.clear(self._scheduler.discard(sequence))
        return self._fail(sequence.id, message)
