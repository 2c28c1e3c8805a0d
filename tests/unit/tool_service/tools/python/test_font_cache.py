"""The list of fonts: kept, and a copy for each interpreter."""

from contextlib import aclosing

from tests.interpreters import opened
from tests.unit.tool_service.tools.python.interpreting import printed
from tool_service.tools.python import font_cache


async def test_numpy_and_matplotlib_work_and_each_interpreter_has_its_own_copy_of_the_fonts(tmp_path):
    assert await font_cache.warm_up(tmp_path)
    [kept] = tmp_path.iterdir()
    original = kept.read_bytes()
    async with aclosing(await opened(font_cache=tmp_path)) as interpreter:
        await printed(interpreter, "import os, numpy\nimport matplotlib.pyplot as plt")
        await printed(interpreter, "plt.plot(numpy.ones(9)); plt.title('t'); plt.savefig('plot.png')")
        assert await printed(interpreter, "print(os.listdir('.'), os.listdir(os.environ['MPLCONFIGDIR']))") == (
            f"['plot.png'] ['{kept.name}']\n"
        )
        await printed(interpreter, f"open(os.environ['MPLCONFIGDIR'] + '/{kept.name}', 'w').close()")
    assert kept.read_bytes() == original


async def test_warming_up_twice_does_it_once(tmp_path):
    (tmp_path / "fontlist-v1.json").write_text("{}")
    assert await font_cache.warm_up(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["fontlist-v1.json"]


async def test_a_cache_that_cannot_be_kept_is_no_failure(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert not await font_cache.warm_up(tmp_path / "file" / "cache")
    assert "list of fonts cannot be kept" in caplog.text
