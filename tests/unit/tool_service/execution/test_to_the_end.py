import asyncio

import pytest

from tool_service.execution.to_the_end import to_the_end


async def test_what_comes_of_the_work_comes_back():
    assert await to_the_end(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ZeroDivisionError):
        await to_the_end(failing())


async def test_however_often_it_is_cancelled_the_work_ends_first():
    may_end, ended = asyncio.Event(), []

    async def work():
        await may_end.wait()
        ended.append(True)

    waiting = asyncio.create_task(to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == [True]


async def test_what_cancelled_work_raises_is_dropped():
    waiting = asyncio.create_task(to_the_end(failing()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def failing():
    await asyncio.sleep(0)
    raise ZeroDivisionError
