"""The tool `python`: statements while they are written, the value and the figures at the end, and how it fails."""

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager

import pytest

from examples.plain.python import python_tool as plain_tool
from tests.interpreters import fork_server
from tool_service.interface import Artifact, Reject, Session, Stream
from tool_service.interface.meter import Meter
from tool_service.interface.session import SessionState
from tool_service.tools.python import interpreter, tool
from tool_service.tools.python.interpreter import SandboxUnavailable
from tool_service.tools.python.interpreters import Interpreters
from tool_service.tools.python.settings import PythonSettings

INTERPRETERS = Interpreters(fork_server())
PYTHON = tool.python_tool(INTERPRETERS)


class Completion:
    """Calls the tool as the runner would."""

    def __init__(self) -> None:
        self.state = SessionState()
        self._meter = Meter(60.0, lambda unit: None, lambda: None)
        self._session = Session(self.state, self._meter)

    async def pieces(self, *code: str, function=None):
        stream = Stream("code", self._meter)
        for piece in code:
            stream.push(piece, 0)
        stream.seal(0)
        async with aclosing((function or PYTHON.function)(code=stream, session=self._session)) as pieces:
            async for piece in pieces:
                yield piece

    async def call(self, *code: str) -> str:
        return "".join([str(piece) async for piece in self.pieces(*code)])


@pytest.fixture
async def completion():
    completion = Completion()
    yield completion
    await completion.state.aclose()


async def test_what_is_printed_and_the_value_of_the_last_line(completion):
    assert await completion.call("x = 20\nprint('hello')\n", "x + 1\n", "x + 22") == "hello\n42\n"
    assert await completion.call("x") == "20\n"


async def test_a_statement_runs_while_the_next_one_is_being_written(completion):
    stream = Stream("code", Meter(60.0, lambda unit: None, lambda: None))
    stream.push("print('first')\n", 0)
    pieces = PYTHON.function(code=stream, session=completion._session)
    async with asyncio.timeout(10), aclosing(pieces):
        first = ""
        while first != "first\n":
            first += await anext(pieces)
        stream.push("print('second')", 1)
        stream.seal(1)
        assert "".join([piece async for piece in pieces]) == "second\n"


async def test_figures_come_at_the_end_after_the_value(completion):
    code = "import matplotlib.pyplot as plt\nfigure = plt.plot([1, 2])\nlen(figure)"
    pieces = [piece async for piece in completion.pieces(code)]
    assert pieces[0] == "1\n"
    assert isinstance(pieces[1], Artifact)
    assert (pieces[1].name, pieces[1].media_type, len(pieces)) == ("figure-1.png", "image/png", 2)


async def test_an_exception_ends_the_call_and_the_variables_stay(completion):
    with pytest.raises(Reject, match=r'File "<python>", line 2, in <module>\n    1 / 0\n.*\nZeroDivisionError'):
        await completion.call("x = 1\n1 / 0\nx = 2\n")
    assert await completion.call("x") == "1\n"


async def test_a_death_ends_the_call_and_the_next_one_gets_another_interpreter(completion):
    with pytest.raises(Reject, match=r"exited with status 3\. Its variables are lost"):
        await completion.call("x = 1\nimport os; os._exit(3)")
    with pytest.raises(Reject, match="NameError"):
        await completion.call("x")


async def test_two_completions_see_nothing_of_each_other(completion):
    other = Completion()
    try:
        await completion.call("x = 1; open('file', 'w').close()")
        with pytest.raises(Reject, match="NameError"):
            await other.call("x")
        assert await other.call("import os; os.listdir('.')") == "[]\n"
    finally:
        await other.state.aclose()


async def test_leaving_the_call_ends_the_interpreter(completion):
    async with aclosing(completion.pieces("print(1)\nwhile True: pass")) as pieces:
        await anext(pieces)
        [interpreter] = completion.state.resources.values()
    assert completion.state.resources == {}
    assert not interpreter.is_alive


async def test_the_plain_tool_does_the_same(completion):
    state = Session(completion.state, completion._meter)
    async with aclosing(plain_tool(INTERPRETERS).function(code="x = 2\nprint(x)\nx * 21", session=state)) as pieces:
        assert "".join([piece async for piece in pieces]) == "2\n42\n"


# The service


@asynccontextmanager
async def offered(**settings: object):
    async with tool.python_tools(PythonSettings(**settings)) as [offered]:
        yield offered


async def test_the_fork_server_lives_as_long_as_the_tools(completion):
    async with offered(preload="json, no_such_module") as python:
        code = "import sys; print('json' in sys.modules, 'numpy' in sys.modules)"
        pieces = [piece async for piece in completion.pieces(code, function=python.function)]
        assert "".join(pieces) == "True False\n"
        await completion.state.aclose()


async def test_without_a_boundary_the_service_does_not_start_unless_told_to(monkeypatch, caplog, completion):
    monkeypatch.setattr(interpreter.landlock, "abi", lambda: 0)
    with pytest.raises(SandboxUnavailable, match="cannot be held in on this machine: the kernel has no Landlock"):
        async with offered():
            pass
    with caplog.at_level(logging.WARNING):
        async with offered(sandbox="off", preload="") as python:
            assert [piece async for piece in completion.pieces("6 * 7", function=python.function)] == ["42\n"]
            await completion.state.aclose()
    assert "the sandbox of python is off" in caplog.text
