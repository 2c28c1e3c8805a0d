"""An interpreter's folder is removed, whatever is in it."""

import os
from pathlib import Path

from tool_service.tools.python import workplace


def test_the_deepest_folders_are_removed(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    here = os.getcwd()  # noqa: PTH109 - relative paths, because the whole one is too long
    os.chdir(folder)
    try:
        for _ in range(600):
            Path("file").touch()
            Path("d").mkdir()
            Path("e").symlink_to("/")
            os.chdir("d")
    finally:
        os.chdir(here)
    workplace.remove_tree(folder)
    assert not folder.exists()


def test_folders_that_were_closed_are_removed(tmp_path):
    closed = tmp_path / "folder/closed/within"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    for path in (closed, closed.parent):
        path.chmod(0)
    workplace.remove_tree(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
