"""The parts of the confinement without an interpreter: the filter's verdicts, what is readable, users, the watch."""

import os
import struct
from pathlib import Path

import pytest

from tool_service.tools.python import reach, seccomp, users, watch, workplace
from tool_service.tools.python.seccomp import ALLOW, KILL_PROCESS, NO_SUCH_CALL, NOT_SUPPORTED, PRETEND, REFUSE
from tool_service.tools.python.watch import GroupLimits, Watched

# The filter

OWN_PID = 4711
ALONE = seccomp.Circumstances(shares_user=False, holds_signals=True, holds_truncation=True)
SHARING = seccomp.Circumstances(shares_user=True, holds_signals=True, holds_truncation=True)
OLD_KERNEL = seccomp.Circumstances(pid=OWN_PID, shares_user=True)
X32_BIT = 0x4000_0000
HIGH_HALF = 1 << 32


def verdict(machine: str, call: str | int, *arguments: int, circumstances: seccomp.Circumstances = SHARING) -> int:
    """Runs the filter as the kernel would."""
    program = seccomp.filter_program(machine, circumstances)
    architecture, column = seccomp.ARCHITECTURES[machine]
    number = call if isinstance(call, int) else ALL[call][column]
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *[value % (1 << 64) for value in padded])
    return run(program, data)


def run(program: bytes, data: bytes) -> int:
    at = loaded = 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("HBBI", program, 8 * at)
        at += 1
        if code == seccomp.LOAD_WORD:
            (loaded,) = struct.unpack_from("<I", data, value)
        elif code == seccomp.RETURN:
            return value
        else:
            holds = {
                seccomp.JUMP_IF_EQUAL: loaded == value,
                seccomp.JUMP_IF_AT_LEAST: loaded >= value,
                seccomp.JUMP_IF_ANY_BIT: bool(loaded & value),
            }[code]
            at += if_true if holds else if_false


ALL = seccomp.REFUSED | seccomp.ATTRIBUTES | seccomp.METADATA | seccomp.ARGUMENTS
MACHINES = pytest.mark.parametrize("machine", seccomp.ARCHITECTURES)


@MACHINES
def test_every_listed_call_gets_its_verdict_and_every_other_number_is_allowed(machine):
    _, column = seccomp.ARCHITECTURES[machine]
    listed = {numbers[column]: name for name, numbers in ALL.items() if numbers[column] is not None}
    for number in range(seccomp.HIGHEST_KNOWN + 1):
        name = listed.get(number, "")
        if name not in seccomp.ARGUMENTS:
            expected = REFUSE if name in seccomp.REFUSED else NOT_SUPPORTED if name in seccomp.ATTRIBUTES else ALLOW
            assert verdict(machine, number, circumstances=ALONE) == expected, (number, name)
            expected = PRETEND if name in seccomp.METADATA else expected
            assert verdict(machine, number, circumstances=SHARING) == expected, (number, name)


@MACHINES
def test_no_number_is_listed_twice(machine):
    _, column = seccomp.ARCHITECTURES[machine]
    numbers = [number[column] for number in ALL.values() if number[column] is not None]
    tables = (seccomp.REFUSED, seccomp.ATTRIBUTES, seccomp.METADATA, seccomp.ARGUMENTS)
    assert len(set(numbers)) == len(numbers) == sum(n[column] is not None for t in tables for n in t.values())
    assert max(numbers) <= seccomp.HIGHEST_KNOWN


@MACHINES
def test_another_architecture_is_killed_and_unknown_numbers_do_not_exist(machine):
    program = seccomp.filter_program(machine, ALONE)
    architecture, _ = seccomp.ARCHITECTURES[machine]
    assert run(program, struct.pack("<IIQ6Q", 39, architecture ^ 1, 0, *[0] * 6)) == KILL_PROCESS
    for number in (seccomp.HIGHEST_KNOWN + 1, X32_BIT | 41, 0x7FFF_FFFF, 0xFFFF_FFFF):
        assert verdict(machine, number) == NO_SUCH_CALL


@MACHINES
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (2, 1, 0), REFUSE),
        ("sendto", (3, 99, 1, 0, 0, 0), ALLOW),
        ("sendto", (3, 99, 1, 0, 99, 16), REFUSE),
        ("sendto", (3, 99, 1, 0, HIGH_HALF, 16), REFUSE),
        ("clone", (17,), ALLOW),
        ("clone", (17 | HIGH_HALF,), ALLOW),
        ("clone", (17 | 0x1000_0000,), REFUSE),
        ("clone", (17 | 0x2_0000,), REFUSE),
        ("clone3", (0, 0), NO_SUCH_CALL),
        ("prctl", (15,), ALLOW),
        ("prctl", (1,), REFUSE),
        ("prctl", (4,), REFUSE),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), REFUSE),
        ("sched_setaffinity", (HIGH_HALF,), ALLOW),
        ("sched_setaffinity", (9,), REFUSE),
        ("setpriority", (0, 0), ALLOW),
        ("setpriority", (0, 9), REFUSE),
        ("setpriority", (2, 0), REFUSE),
        ("kill", (9, 9), ALLOW),
        ("fcntl", (3, 8, 9), ALLOW),
        ("truncate", (99, 0), ALLOW),
    ],
)
def test_arguments_decide(machine, call, arguments, expected):
    assert verdict(machine, call, *arguments) == expected


@MACHINES
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("kill", (OWN_PID, 9), ALLOW),
        ("kill", (0, 9), ALLOW),
        ("kill", (-OWN_PID, 9), ALLOW),
        ("kill", (-1, 9), REFUSE),
        ("kill", (1, 9), REFUSE),
        ("tgkill", (OWN_PID, OWN_PID, 6), ALLOW),
        ("tgkill", (1, 1, 6), REFUSE),
        ("tkill", (1, 6), REFUSE),
        ("rt_sigqueueinfo", (1, 6), REFUSE),
        ("pidfd_send_signal", (3, 9), REFUSE),
        ("fcntl", (3, 1), ALLOW),
        ("fcntl", (3, 8, 9), REFUSE),
        ("fcntl", (3, 15, 9), REFUSE),
        ("ioctl", (3, 0x8901), REFUSE),
        ("ioctl", (3, 0x541B), ALLOW),
        ("truncate", (99, 0), REFUSE),
    ],
)
def test_where_landlock_cannot_the_filter_keeps_signals_and_lengths(machine, call, arguments, expected):
    assert verdict(machine, call, *arguments, circumstances=OLD_KERNEL) == expected


def test_no_filter_is_made_for_an_unknown_machine():
    with pytest.raises(seccomp.CannotConfine, match="mips"):
        seccomp.filter_program("mips", ALONE)
    assert "mips" in seccomp.what_is_missing("mips")
    assert seccomp.what_is_missing("x86_64") == ""


# What is readable


def test_a_checkout_is_not_readable_and_a_virtual_environment_inside_it_is(monkeypatch, tmp_path):
    project = tmp_path / "project"
    for folder in ("tool_service", ".venv/bin", ".venv/lib/python3/site-packages/numpy"):
        (project / folder).mkdir(parents=True)
    monkeypatch.setattr(reach.sys, "prefix", str(project / ".venv"))
    monkeypatch.setattr(reach.sys, "path", ["", str(project), str(project / ".venv/lib/python3/site-packages")])
    found = dict(reach.readable(project))
    assert found[project / ".venv/lib"] is False
    assert not any((project / "tool_service").is_relative_to(path) for path in found)
    assert project not in found


def test_where_the_service_is_installed_beside_packages_only_they_are_readable(monkeypatch, tmp_path):
    packages = tmp_path / "lib/site-packages"
    for name in ("tool_service", "protos", "numpy"):
        (packages / name).mkdir(parents=True)
    (packages / "six.py").touch()
    (packages / "link").symlink_to("/etc")
    monkeypatch.setattr(reach.sys, "prefix", str(tmp_path))
    found = {path: names for path, names in reach.readable(packages) if path.is_relative_to(tmp_path)}
    assert found == {
        tmp_path / "lib": True,
        packages: True,
        packages / "numpy": False,
        packages / "six.py": False,
    }


# Users


@pytest.mark.parametrize(
    ("uid_map", "numbers"),
    [
        ("         0          0 4294967295\n", users.HIGH),
        ("         0     100000      65536\n", range(30_536, 60_536)),
        ("      1000       1000          1\n", range(0)),
        ("0 1000 1\n1 100000 65536\n", range(30_537, 60_537)),
    ],
)
def test_users_are_high_numbers_of_the_namespace(uid_map, numbers):
    assert users.numbers_within(uid_map) == numbers


def test_no_user_is_handed_out_twice(monkeypatch):
    monkeypatch.setattr(users, "_numbers", lambda: range(1_900_000_000, 1_900_000_050))
    taken = [users.take_user() for _ in range(50)]
    assert len(set(taken)) == 50
    for user in taken:
        users.release_user(user)
    users.release_user(users.take_user())
    monkeypatch.setattr(users, "_numbers", lambda: range(0))
    assert users.take_user() is None


# Folders


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


# The watch


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
