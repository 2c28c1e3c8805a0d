"""Figures that are shown or left open."""

from contextlib import aclosing

from tests.unit.tool_service.tools.python.interpreting import IS_OPEN, failure, printed
from tool_service.interface import Artifact
from tool_service.tools.python.fork_server import ForkServer
from tool_service.tools.python.interpreter import (
    Interpreter,
)


async def shown(interpreter: Interpreter, statement: str) -> list[str | Artifact]:
    """What a statement gives, neighbouring texts as one."""
    pieces: list[str | Artifact] = []
    async for piece in interpreter.run(statement):
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


async def left_open(interpreter: Interpreter) -> list[str | Artifact]:
    return [piece async for piece in interpreter.open_figures()]


def names(pieces: list[str | Artifact]) -> list[str]:
    return [piece if isinstance(piece, str) else piece.name for piece in pieces]


async def test_figures_that_are_shown_come_in_order_with_the_text(interpreter):
    pieces = await shown(
        interpreter,
        "import matplotlib.pyplot as plt\nfor n in range(2):\n"
        "    print('before', n)\n    plt.plot([1, n])\n    plt.show()\nprint('after')",
    )
    assert names(pieces) == ["before 0\n", "figure-1.png", "before 1\n", "figure-2.png", "after\n"]
    figure = pieces[1]
    assert isinstance(figure, Artifact)
    assert figure.media_type == "image/png"
    assert figure.data.startswith(b"\x89PNG")
    assert await left_open(interpreter) == []


async def test_figures_left_open_are_handed_over_whatever_the_backend(interpreter):
    assert await left_open(interpreter) == []
    await printed(interpreter, "import matplotlib\nmatplotlib.use('Agg')\nimport matplotlib.pyplot as plt")
    await printed(interpreter, "a = plt.figure()\nb = plt.figure()\nplt.savefig('b.png')")
    assert names(await left_open(interpreter)) == ["figure-1.png", "figure-2.png"]
    assert await left_open(interpreter) == []
    assert await printed(interpreter, "import os; print(plt.get_fignums(), os.listdir('.'))") == "[] ['b.png']\n"


async def test_names_of_figures_count_on_in_a_program_and_start_again_in_the_next(interpreter):
    await printed(interpreter, "import matplotlib.pyplot as plt")
    assert names(await shown(interpreter, "plt.figure(); plt.show()")) == ["figure-1.png"]
    assert names(await shown(interpreter, "plt.figure(); plt.show()")) == ["figure-2.png"]
    interpreter.start_program()
    assert names(await shown(interpreter, "plt.figure(); plt.show()")) == ["figure-1.png"]


async def test_figures_past_the_limits_are_left_out_with_a_notice(interpreter):
    await printed(interpreter, "import matplotlib.pyplot as plt, numpy")
    big = await shown(interpreter, "plt.imsave, plt.figimage(numpy.random.rand(900, 900, 3), resize=True)\nplt.show()")
    assert len(big) == 1
    assert "a figure of " in str(big[0])
    assert " bytes is left out: 2097152 is the most" in str(big[0])
    many = await shown(interpreter, "for n in range(10): plt.figure(figsize=(1, 1))\nplt.show()")
    assert names(many) == [*(f"figure-{n}.png" for n in range(1, 9)), "[figures after the first 8 are left out]\n"]


async def test_a_figure_that_cannot_be_drawn_is_a_failed_statement_without_our_lines(interpreter):
    await printed(interpreter, "import matplotlib.pyplot as plt")
    text = await failure(interpreter, "plt.title('$\\\\nosuch$')\nplt.show()")
    assert "ValueError" in text
    assert "gallery.py" not in text
    assert await printed(interpreter, "print('well')") == "well\n"


async def test_a_forged_figure_is_the_interpreters_end(interpreter):
    await printed(interpreter, IS_OPEN)
    await printed(interpreter, "control = next(n for n in range(3, 256) if is_open(n))")
    forged = "for _ in range(20): _ = os.write(control, (5).to_bytes(4, 'big') + b'Ihtml')"
    assert "its program wrote into the interpreter's own channel" in await failure(interpreter, forged)


async def test_without_matplotlib_imported_figures_work_too():
    server = ForkServer(())
    try:
        async with aclosing(await Interpreter.open(server)) as interpreter:
            assert await printed(interpreter, "import sys; print('matplotlib' in sys.modules)") == "False\n"
            statement = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
            assert names(await shown(interpreter, statement)) == ["figure-1.png"]
    finally:
        server.close()
