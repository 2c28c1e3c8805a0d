"""What grammars allow next, found in a thread of its own while the model runs.

llguidance lets go of the interpreter lock while it searches, and the forward pass for nearly all of its time, so the
two run side by side; whoever chooses waits only for what is not found by then.
"""

from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager, suppress

from decoder_service.text.grammar import Grammar

Question = tuple[Grammar, Sequence[int]]  # what may come next, and after each of these tokens


class Foresight:
    """Has a thread once there is a grammar."""

    def __init__(self) -> None:
        self._pool = futures.ThreadPoolExecutor(1, "grammars")

    @contextmanager
    def of(self, questions: Sequence[Question]) -> Iterator[None]:
        """Answers them while its block runs; they are answered when the block is left."""
        answers = self._pool.submit(_answer, questions) if questions else None
        try:
            yield
        finally:
            if answers is not None:
                answers.result()

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown()


def _answer(questions: Sequence[Question]) -> None:
    for grammar, drafts in questions:
        with suppress(Exception):  # it comes up again where the sequence chooses, which then fails alone
            grammar.foresee(drafts)
