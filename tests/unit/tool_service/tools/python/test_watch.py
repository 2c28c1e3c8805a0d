"""Which limit a group of processes and its folder have passed."""

import os
from pathlib import Path

import pytest

from tool_service.tools.python import watch
from tool_service.tools.python.watch import GroupLimits, Watched


def watched(folder: Path, **limits: int) -> Watched:
    most = {"task_count": 10, "memory_bytes": 1 << 40, "folder_bytes": 1 << 40, "folder_files": 1000, **limits}
    return Watched(os.getpgrp(), folder, GroupLimits(**most), lambda: None)


@pytest.mark.parametrize(
    ("limits", "breach"),
    [
        ({}, ""),
        ({"task_count": 0}, "it had more than 0 processes and threads."),
        ({"memory_bytes": 1 << 20}, "its processes used more than 1 MiB of memory together."),
        ({"folder_bytes": 1 << 20}, "its files took more than 1 MiB together."),
        ({"folder_files": 3}, "it had more than 3 files."),
    ],
)
def test_the_watch_says_which_limit_was_passed(tmp_path, limits, breach):
    for number in range(4):
        (tmp_path / str(number)).write_bytes(b"x" * (1 << 19))
    group = watched(tmp_path, **limits)
    group.pids, group.task_count = [os.getpid()], 1
    assert watch.breach_of(group) == breach


def test_folders_too_deep_to_look_at_are_a_breach(tmp_path):
    (tmp_path / "/".join("d" * 120)).mkdir(parents=True)
    assert watch.breach_of(watched(tmp_path)) == "its folders were nested more than 100 deep."


def test_hard_links_count_once_and_what_closed_folders_hold_is_counted(tmp_path):
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/file").write_bytes(b"x" * (1 << 20))
    (tmp_path / "link").hardlink_to(tmp_path / "hidden/file")
    (tmp_path / "hidden").chmod(0o300)
    assert watch.breach_of(watched(tmp_path, folder_bytes=3 << 19)) == ""
    assert "1 MiB" in watch.breach_of(watched(tmp_path, folder_bytes=1 << 20))
