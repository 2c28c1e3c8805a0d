"""What the interpreter's child does to itself before it runs anyone's code: limits, death with its parent, no network.

This stops accidents, runaway programs and the network. It is **not** a boundary against a determined attacker: the
code runs as the service's own user, reads and writes the files which that user may, and may signal that user's
processes.

The system call filter (seccomp-BPF, see the kernel's `Documentation/userspace-api/seccomp_filter.rst`) cannot be
taken off again and is inherited by every process that the child starts. It refuses with EPERM

* `socket` and `socketpair` of every family but AF_UNIX,
* io_uring, which makes sockets without those calls,
* `setsid` and `setpgid`, so that killing the process group kills everything that was started,
* `ptrace`, `process_vm_readv`, `process_vm_writev` and `pidfd_getfd`, which reach into other processes,

and kills a process that makes system calls of another architecture, whose numbers would mean something else.
"""

import ctypes
import errno
import os
import resource
import struct
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
SIGKILL = 9
AF_UNIX = 1
AF_INET = 2
SOCK_STREAM = 1

KILL_PROCESS = 0x8000_0000
REFUSE = 0x0005_0000 | errno.EPERM
ALLOW = 0x7FFF_0000

LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_OFFSET, ARCHITECTURE_OFFSET, FIRST_ARGUMENT_OFFSET = 0, 4, 16
X32_BIT = 0x4000_0000

SAME_EVERYWHERE = (425, 426, 427, 438)  # io_uring_setup, io_uring_enter, io_uring_register, pidfd_getfd

# machine: (AUDIT_ARCH, numbers of socket and socketpair, numbers that are refused whatever their arguments)
ARCHITECTURES = {
    # setpgid, setsid, ptrace, process_vm_readv, process_vm_writev
    "x86_64": (0xC000_003E, (41, 53), (109, 112, 101, 310, 311, *SAME_EVERYWHERE)),
    "aarch64": (0xC000_00B7, (198, 199), (154, 157, 117, 270, 271, *SAME_EVERYWHERE)),
}


class CannotConfine(Exception):
    """The machine does not offer what is needed."""


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the one that started it ends; leaves at once if it already has."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def limit_resources(
    memory_bytes: int, cpu_seconds: int, file_bytes: int, open_file_count: int, spare_process_count: int
) -> None:
    """Sets the limits of this process and of each that it starts; none can be raised again without privileges.

    The kernel counts processes and threads per user over the whole machine and does not limit root, so
    `spare_process_count` come on top of all that run now.
    """
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, open_file_count)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, _running_count() + spare_process_count)


def refuse_network(machine: str | None = None) -> None:
    """Installs the filter and tries it out. Raises `CannotConfine`."""
    program = filter_program(machine or os.uname().machine)
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    kept_header = ctypes.create_string_buffer(header, len(header))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(kept_header))
    if _libc().socket(AF_INET, SOCK_STREAM, 0) != -1:
        raise CannotConfine("the system call filter was taken but does nothing")


def filter_program(machine: str) -> bytes:
    """The filter as BPF instructions. Raises `CannotConfine` for a machine whose system calls are not known here."""
    if machine not in ARCHITECTURES or sys.maxsize < 2**32:
        raise CannotConfine(f"no system call filter is known for a {machine} machine")
    architecture, sockets, refused = ARCHITECTURES[machine]
    tests = [(JUMP_IF_EQUAL, number) for number in refused]
    if machine == "x86_64":
        tests.insert(0, (JUMP_IF_AT_LEAST, X32_BIT))
    to_refuse, to_family = len(tests) + len(sockets) + 3, len(sockets)
    return b"".join(
        [
            _instruction(LOAD_WORD, ARCHITECTURE_OFFSET),
            _instruction(JUMP_IF_EQUAL, architecture, if_true=1),
            _instruction(RETURN, KILL_PROCESS),
            _instruction(LOAD_WORD, NUMBER_OFFSET),
            *[_instruction(code, number, if_true=to_refuse - i) for i, (code, number) in enumerate(tests)],
            *[_instruction(JUMP_IF_EQUAL, number, if_true=to_family - i) for i, number in enumerate(sockets)],
            _instruction(RETURN, ALLOW),
            _instruction(LOAD_WORD, FIRST_ARGUMENT_OFFSET),
            _instruction(JUMP_IF_EQUAL, AF_UNIX, if_false=1),
            _instruction(RETURN, ALLOW),
            _instruction(RETURN, REFUSE),
        ]
    )


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    _, highest = resource.getrlimit(kind)
    wanted = soft if hard is None else hard
    if highest != resource.RLIM_INFINITY:
        wanted = min(wanted, highest)
    resource.setrlimit(kind, (min(soft, wanted), wanted))


def _running_count() -> int:
    """Processes and threads on this machine: the fourth field of loadavg is `runnable/all`."""
    with open("/proc/loadavg", encoding="ascii") as loadavg:  # noqa: PTH123 - pathlib would delay every start
        return int(loadavg.read().split()[3].partition("/")[2])


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, first: int, second: int = 0) -> None:
    prctl = _libc().prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if prctl(option, first, second, 0, 0) != 0:
        raise CannotConfine(f"prctl({option}) failed: {os.strerror(ctypes.get_errno())}")
