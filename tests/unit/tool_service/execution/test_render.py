"""What a tool gives or raises, as text."""

import pytest

from tests.unit.tool_service.completions import Log, end, start, written
from tool_service.execution.events import Failure
from tool_service.execution.render import described
from tool_service.interface import tool


class Mute(Exception):
    """Cannot tell what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("caf\udce9"), "ValueError: caf?"),
        (Mute(), "Mute"),
    ],
)
def test_an_exception_is_its_type_and_text(error: BaseException, text: str) -> None:
    assert described(error) == text


async def test_an_exception_that_cannot_tell_its_text_hangs_no_turn() -> None:
    @tool
    async def fail() -> str:
        """Fail."""
        raise Mute

    log = Log()
    runner = start(log, fail)
    runner.text(written("fail"))
    await end(runner)
    assert log.failure() == Failure("RAISED", "Mute")
