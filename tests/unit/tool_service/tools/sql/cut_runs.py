"""Scripts that change a database, decoded in random pieces up to a random moment; a number always makes the same."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from tests.unit.tool_service.tools.sql.completions import Completion, written
from tool_service.execution import events as ev
from tool_service.tools.sql.settings import SqlSettings

TABLES = """
CREATE TABLE steps (run integer, step integer);
CREATE TABLE counter (n integer);
INSERT INTO counter VALUES (0);
"""
WAYS = ("cut", "cut", "cancelled", "killed")
LONGEST_PAUSE = 0.004  # seconds between two pieces
LONGEST_COMMIT = 0.05  # after the last
LONGEST_LIFE = 0.2  # of a process


@dataclass(frozen=True)
class CutRun:
    """Run `number`: what happens to it, its script's number of rows, its text in pieces, and how many are decoded."""

    number: int
    way: str
    steps: int
    pieces: tuple[str, ...]
    decoded: int
    pauses: tuple[float, ...]
    life: float

    @classmethod
    def make(cls, number: int) -> "CutRun":
        rng = random.Random(number)
        steps = rng.randint(2, 6)
        inserts = [f"INSERT INTO steps VALUES ({number}, {step});" for step in range(steps)]
        inserts.insert(rng.randint(0, steps), "UPDATE counter SET n = n + 1;")
        text, pieces = written("\n".join(inserts)), []
        while text:
            size = rng.randint(1, 40)
            pieces.append(text[:size])
            text = text[size:]
        way = rng.choice(WAYS)
        decoded = len(pieces) if way == "killed" or rng.random() < 0.3 else rng.randint(0, len(pieces))
        pauses = [rng.choice((0.0, 0.0, rng.uniform(0, LONGEST_PAUSE))) for _ in pieces]
        pauses[-1] = rng.uniform(0, LONGEST_COMMIT)
        return cls(number, way, steps, tuple(pieces), decoded, tuple(pauses), rng.uniform(0, LONGEST_LIFE))

    async def run(self, settings: SqlSettings, journal: Path) -> bool:
        """Runs it; whether the call succeeded."""
        completion = Completion(settings, id_=f"run {self.number}", journal=journal)
        for piece, pause in zip(self.pieces[: self.decoded], self.pauses, strict=False):
            completion.runner.text(piece)
            await asyncio.sleep(pause)
        if self.way == "cancelled":
            await completion.aclose()
        else:
            await completion.runner.end_turn("stop" if self.way == "killed" else "length")
            await completion.aclose()
        return isinstance(completion.outcome, str)

    async def try_again(self, settings: SqlSettings, journal: Path) -> str | ev.Failure:
        """What the call comes to when the same completion is tried again and not cut; all its text comes at once."""
        completion = Completion(settings, id_=f"run {self.number}", journal=journal)
        completion.runner.text("".join(self.pieces))
        return await completion.end()

    @property
    def result(self) -> str:
        """What it gives when it succeeds."""
        return "[1 row changed]\n" * (self.steps + 1) + "[committed]\n"
