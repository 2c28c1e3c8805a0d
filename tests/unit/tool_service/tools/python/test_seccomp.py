"""The system call filter's verdicts."""

import struct

import pytest

from tool_service.tools.python import seccomp
from tool_service.tools.python.seccomp import ALLOW, KILL_PROCESS, NO_SUCH_CALL, NOT_SUPPORTED, PRETEND, REFUSE

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
        ("fcntl", (3, 8, 9), REFUSE),
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
