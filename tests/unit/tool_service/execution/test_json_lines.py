import socket
from contextlib import contextmanager

import pytest

from tool_service.execution import json_lines
from tool_service.execution.json_lines import JsonLines


@contextmanager
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def test_messages_go_both_ways_one_a_line():
    with pair() as (ours, theirs):
        lines = await JsonLines.over(ours)
        await lines.send(["run", "a\nb"])
        assert theirs.recv(100) == b'["run", "a\\nb"]\n'
        theirs.sendall(b'{"a": 1}\n"')
        assert await lines.receive() == {"a": 1}
        theirs.sendall(b'two"\n')
        assert await lines.receive() == "two"
        lines.close()


async def test_what_is_no_message_is_an_error(monkeypatch):
    monkeypatch.setattr(json_lines, "LINE_BYTES", 10)
    with pair() as (ours, theirs):
        lines = await JsonLines.over(ours)
        theirs.sendall(b"none\n")
        with pytest.raises(ValueError, match="Expecting value"):
            await lines.receive()
        theirs.sendall(b"1" * 11)
        with pytest.raises(ValueError, match="more than 10 bytes"):
            await lines.receive()
        lines.close()


async def test_the_end_of_the_process_is_told_when_reading():
    with pair() as (ours, theirs):
        lines = await JsonLines.over(ours)
        theirs.sendall(b"1\n2")
        theirs.close()
        assert await lines.receive() == 1
        await lines.send("not heard")
        with pytest.raises(EOFError):
            await lines.receive()
        assert lines.is_at_end
        await lines.hang_up()
        lines.close()
