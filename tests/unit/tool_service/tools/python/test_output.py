"""What statements print: as it comes, in order, cut where it is too much."""

import asyncio
import resource
import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tool_service.tools.python.interpreting import (
    folder_of,
    printed,
)
from tool_service.tools.python.output import OutputText


async def test_output_comes_while_the_statement_runs(interpreter):
    folder = await folder_of(interpreter)
    pieces = []
    async for text in interpreter.run("os.mkfifo('gate')\nprint('first', end='')\nprint(open('gate').read(), end='')"):
        pieces.append(text)
        if text == "first":
            await asyncio.to_thread((folder / "work" / "gate").write_text, "second")
    assert "".join(pieces) == "firstsecond"
    assert pieces[0] == "first"


async def test_all_ways_of_output_arrive_in_order(interpreter):
    assert await printed(
        interpreter,
        "import os, sys, subprocess\n"
        "print('a', end='')\nsys.stderr.write('b')\nos.write(1, b'c')\n"
        "subprocess.run(['sh', '-c', 'printf d; printf e >&2'])\nprint('f', end='')",
    ) == "abcdef"  # fmt: skip


async def test_each_statement_gets_exactly_its_own_output(interpreter):
    for number in range(200):
        assert await printed(interpreter, f"print({number}, end='')") == str(number)


async def test_characters_are_never_split(interpreter):
    text = "é€😀" * 50
    assert await printed(interpreter, f"import os\nfor b in '{text}'.encode(): _ = os.write(1, bytes([b]))") == text


async def test_bytes_that_are_no_text_are_replaced(interpreter):
    assert await printed(interpreter, "import os; os.write(1, b'a\\xff\\xe2\\x82')") == "a\ufffd\ufffd"


async def test_a_hundred_megabytes_are_cut_and_do_not_stay_in_memory(interpreter):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = await printed(interpreter, "print('x' * 100_000_000)")
    assert text == "x" * 65536 + "\n[output cut at 65536 characters]\n"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
    assert await printed(interpreter, "print('next')") == "next\n"


async def test_a_statement_may_close_its_output(interpreter):
    assert await printed(interpreter, "import os; os.close(1); os.close(2)") == ""
    await printed(interpreter, "1 + 1")
    assert await interpreter.last_value() == "2"


async def test_waiting_for_a_statement_without_output_takes_no_time_of_ours(interpreter):
    await printed(interpreter, "import os, time; os.close(1); os.close(2)")
    before = time.thread_time()
    await printed(interpreter, "time.sleep(0.3)")
    assert time.thread_time() - before < 0.1


async def test_a_statement_may_replace_its_output(interpreter):
    await printed(interpreter, "import sys\nclass Broken:\n    def flush(self): 1 / 0\nsys.stdout = Broken()")
    assert await printed(interpreter, "sys.stdout = sys.__stdout__; print('back')") == "back\n"


@given(text=st.text(max_size=20), data=st.data())
def test_decoding_does_not_depend_on_how_the_bytes_are_cut(text, data):
    encoded = text.encode("utf-8", "replace")
    limit = data.draw(st.integers(0, 25))
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=6))), len(encoded)]
    pieces = [encoded[a:b] for a, b in pairwise(cuts)]
    assert shown_in_pieces(pieces, limit) == shown_in_pieces([encoded], limit)


def shown_in_pieces(pieces: list[bytes], limit: int) -> str:
    output = OutputText(limit)
    return "".join([*map(output.feed, pieces), output.close()])
