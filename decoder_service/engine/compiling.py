"""Compiles grammars beside the step loop.

A command whose turn has a grammar waits for it, and so does all that is said of its sequence meanwhile: a grammar that
takes long delays its own sequence alone. llguidance lets go of the interpreter lock while it compiles. Of each sequence
one grammar is compiled at a time, so there are never more than sequences, and what was released before its turn came is
not compiled at all.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from decoder_service.engine.messages import Begin, Command, Release, Resume
from decoder_service.text.grammar import Grammar
from decoder_service.text.grammar_text import GrammarText


class Compiler(Protocol):
    """Compiles grammars, from any thread."""

    def compile(self, grammar: GrammarText) -> Grammar:
        """Raises InvalidGrammarError."""
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A sequence's grammar, or why there is none."""

    id: int
    result: Future[Grammar]


Ready = tuple[Command, Grammar | None]


class Compiling:
    """The commands that wait for a grammar. `tell` is called from other threads, with what `finish` is to be given."""

    def __init__(self, compiler: Compiler, tell: Callable[[Compiled], None]) -> None:
        self._compiler = compiler
        self._tell = tell
        self._pool = ThreadPoolExecutor(thread_name_prefix="compiling")
        self._held: dict[int, deque[Command]] = {}
        self._results: dict[int, Future[Grammar]] = {}

    @property
    def new_count(self) -> int:
        """Sequences that have not begun."""
        return sum(isinstance(commands[0], Begin) for commands in self._held.values())

    def take(self, command: Command) -> list[Ready]:
        """What can be carried out now: this command, or nothing yet."""
        if isinstance(command, Release):
            self.drop(command.id)
        elif command.id in self._held:
            self._held[command.id].append(command)
            return []
        elif isinstance(command, Begin | Resume) and command.turn.grammar is not None:
            self._hold(command, command.turn.grammar)
            return []
        return [(command, None)]

    def finish(self, compiled: Compiled) -> Iterator[Ready]:
        """What has waited for this grammar, in order."""
        if compiled.id not in self._held:
            return
        grammar = compiled.result.result()
        first, *others = self.drop(compiled.id)
        yield first, grammar
        for command in others:
            yield from self.take(command)

    def drop(self, id_: int) -> deque[Command]:
        """Forgets what waits of a sequence, and gives it."""
        result = self._results.pop(id_, None)
        if result is not None:
            result.cancel()
        return self._held.pop(id_, deque())

    def close(self) -> None:
        """Begins nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _hold(self, command: Begin | Resume, grammar: GrammarText) -> None:
        self._held[command.id] = deque([command])
        self._results[command.id] = result = self._pool.submit(self._compiler.compile, grammar)
        result.add_done_callback(lambda done: None if done.cancelled() else self._tell(Compiled(command.id, done)))
