"""The system call filter (seccomp-BPF): what the interpreter's processes may ask of the kernel.

The filter cannot be taken off again and is inherited by every process that the child starts. See the kernel's
`Documentation/userspace-api/seccomp_filter.rst`. What it says of a call, by number and arguments:

    killed            calls of another architecture (`int 0x80`), whose numbers would mean something else
    "no such call"    ENOSYS: numbers above the highest that was read for this file, so the x32 ones too, and clone3,
                      whose flags a filter cannot see (glibc then takes clone)
    refused           EPERM: see `REFUSED` and `argument_rules`
    not supported     EOPNOTSUPP: extended attributes, which need no right to read the file, and fallocate, which fills
                      a disk faster than anyone can watch (glibc then writes)
    pretended         0 without doing anything: modes, owners and times of files, where other processes of the service
                      run as the same user. Landlock does not hold these calls back
    allowed           the rest

Where Landlock cannot keep signals inside (before ABI 6) and the user is shared, a process may only signal itself, its
group and the interpreter.
"""

import ctypes
import errno
import functools
import os
import struct
import sys
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from tool_service.tools.python import kernel
else:  # a plain file beside this one: see zygote.py
    import kernel

PR_SET_SECCOMP = 22
PR_GET_SECCOMP = 21
SECCOMP_MODE_FILTER = 2
AF_UNIX = 1
AF_INET = 2
SOCK_STREAM = 1

LARGEST_SHARED_BYTES = 16 << 20  # of anonymous memory that processes share: the watch counts each piece as this

KILL_PROCESS = 0x8000_0000
ERRNO = 0x0005_0000
ALLOW = 0x7FFF_0000
REFUSE = ERRNO | errno.EPERM
NO_SUCH_CALL = ERRNO | errno.ENOSYS
NO_MEMORY = ERRNO | errno.ENOMEM
NOT_SUPPORTED = ERRNO | errno.EOPNOTSUPP
PRETEND = ERRNO

LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, JUMP_IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16

HIGHEST_KNOWN = 469  # file_setattr, Linux 6.17: the tables below were made from all numbers up to it
NEW_NAMESPACES = 0x7E02_0000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
CLONE_FILES, CLONE_PARENT, CLONE_THREAD = 0x400, 0x8000, 0x1_0000
CLOSE_RANGE_UNSHARE = 2
MAP_SHARED, MAP_ANONYMOUS = 0x01, 0x20
PR_SET_DUMPABLE = 4
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ = 1024, 1026, 1031
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902
SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 7, 8, 32, 33

# AUDIT_ARCH of each machine, and in which column of the tables its numbers are
ARCHITECTURES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}

Numbers = dict[str, tuple[int | None, int | None]]  # by name: x86_64, aarch64; None where there is no such call

SOCKETS: Numbers = {  # only pairs of Unix sockets are left: they cannot be connected to anything else
    "socket": (41, 198), "bind": (49, 200), "connect": (42, 203), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269),  # these two hand descriptors over unseen
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_setup": (206, 0),
}  # fmt: skip
PROCESSES: Numbers = {  # other processes, and ways out of the group that is killed
    "setpgid": (109, 154), "setsid": (112, 157), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kcmp": (312, 272), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438), "move_pages": (279, 239), "migrate_pages": (256, 238), "ioprio_set": (251, 30),
}  # fmt: skip
SHARED: Numbers = {  # memory, queues and semaphores that interpreters would share, or that the watch cannot count
    "shmget": (29, 194), "shmctl": (31, 195), "shmat": (30, 196), "shmdt": (67, 197), "semget": (64, 190),
    "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192), "msgget": (68, 186), "msgctl": (71, 187),
    "msgrcv": (70, 188), "msgsnd": (69, 189), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182), "mq_timedreceive": (243, 183), "mq_notify": (244, 184), "mq_getsetattr": (245, 185),
    "vmsplice": (278, 75), "memfd_create": (319, 279), "memfd_secret": (447, 447), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219),
}  # fmt: skip
FILES: Numbers = {  # the tree of files, and what sees or reaches files without opening them by their paths
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "statmount": (457, 457), "listmount": (458, 458),
    "open_tree_attr": (467, 467), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "inotify_init": (253, None), "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27), "lookup_dcookie": (212, 18), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "nfsservctl": (180, 42), "sysfs": (139, None), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225),
}  # fmt: skip
KERNEL: Numbers = {  # the machine as a whole, and the parts of the kernel that most of its holes were in
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "delete_module": (176, 106), "finit_module": (313, 273), "create_module": (174, None), "reboot": (169, 142),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "uselib": (134, None),
    "_sysctl": (156, None), "personality": (135, 92), "syslog": (103, 116), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161),
    "setdomainname": (171, 162), "vhangup": (153, 58), "lsm_set_self_attr": (460, 460),
}  # fmt: skip
REFUSED: Numbers = SOCKETS | PROCESSES | SHARED | FILES | KERNEL

ATTRIBUTES: Numbers = {
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "getxattr": (191, 8), "lgetxattr": (192, 9),
    "fgetxattr": (193, 10), "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "setxattrat": (463, 463),
    "getxattrat": (464, 464), "listxattrat": (465, 465), "removexattrat": (466, 466), "file_getattr": (468, 468),
    "file_setattr": (469, 469), "fallocate": (285, 47),
}  # fmt: skip
METADATA: Numbers = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88),
}  # fmt: skip
ARGUMENTS: Numbers = {  # whose arguments decide
    "socketpair": (53, 199), "sendto": (44, 206), "clone": (56, 220), "clone3": (435, 435), "prctl": (157, 167),
    "prlimit64": (302, 261), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "setpriority": (141, 140),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "fcntl": (72, 25), "ioctl": (16, 29),
    "truncate": (76, 45), "mmap": (9, 222), "setsockopt": (54, 208), "close_range": (436, 436),
}  # fmt: skip


class CannotConfine(Exception):
    """The machine does not offer what is needed."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the filter has to make up for. `pid`: the interpreter's own process."""

    pid: int = 0
    shares_user: bool = True
    holds_signals: bool = False  # Landlock does
    holds_truncation: bool = False  # Landlock does


def refuse_system_calls(circumstances: Circumstances, machine: str | None = None) -> None:
    """Installs the filter and tries it out. Raises `CannotConfine`. No new privileges must be had already."""
    program = filter_program(machine or os.uname().machine, circumstances)
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    kept_header = ctypes.create_string_buffer(header, len(header))
    try:
        kernel.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(kept_header))
    except OSError as error:
        raise CannotConfine(f"the system call filter was not taken: {error.strerror}") from None
    if kernel.libc.socket(AF_INET, SOCK_STREAM, 0) != -1:
        raise CannotConfine("the system call filter was taken but does nothing")


def what_is_missing(machine: str | None = None) -> str:
    """Why this machine cannot take the filter; empty if it can."""
    if unknown := _what_is_unknown(machine or os.uname().machine):
        return unknown
    try:
        kernel.prctl(PR_GET_SECCOMP)
    except OSError:
        return "the kernel has no system call filters (seccomp)"
    return ""


@functools.cache
def filter_program(machine: str, circumstances: Circumstances) -> bytes:
    """The filter as BPF instructions. Raises `CannotConfine` for a machine whose system calls are not known here."""
    if unknown := _what_is_unknown(machine):
        raise CannotConfine(unknown)
    architecture, column = ARCHITECTURES[machine]
    rules = {name: [_return(REFUSE)] for name in REFUSED}
    rules |= {name: [_return(NOT_SUPPORTED)] for name in ATTRIBUTES}
    if circumstances.shares_user:
        rules |= {name: [_return(PRETEND)] for name in METADATA}
    rules |= argument_rules(circumstances)
    numbers = REFUSED | ATTRIBUTES | METADATA | ARGUMENTS
    return b"".join(
        [
            _instruction(LOAD_WORD, ARCHITECTURE_OFFSET),
            _instruction(JUMP_IF_EQUAL, architecture, if_true=1),
            _return(KILL_PROCESS),
            _instruction(LOAD_WORD, NUMBER_OFFSET),
            _instruction(JUMP_IF_AT_LEAST, HIGHEST_KNOWN + 1, if_false=1),
            _return(NO_SUCH_CALL),
            *[_rule(number, body) for name, body in rules.items() if (number := numbers[name][column]) is not None],
            _return(ALLOW),
        ]
    )


def _what_is_unknown(machine: str) -> str:
    known = machine in ARCHITECTURES and sys.maxsize >= 2**32
    return "" if known else f"no system call filter is known for a {machine} machine"


def argument_rules(circumstances: Circumstances) -> dict[str, list[bytes]]:
    """What is said of calls whose arguments decide, by their names."""
    only_itself = _allowed_if(0, 0)
    rules = {
        "socketpair": _allowed_if(0, AF_UNIX),
        "sendto": [*_refused_unless_zero(_low(4)), *_refused_unless_zero(_low(4) + 4), _return(ALLOW)],  # no address
        "clone": _clone_rule(),
        "clone3": [_return(NO_SUCH_CALL)],
        "prctl": _refused_if(0, kernel.PR_SET_PDEATHSIG, PR_SET_DUMPABLE),
        "mmap": _mmap_rule(),
        "setsockopt": _refused_if(2, SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE),
        "close_range": [
            _load(2),
            _instruction(JUMP_IF_ANY_BIT, CLOSE_RANGE_UNSHARE, if_false=1),
            _return(REFUSE),
            _return(ALLOW),
        ],
        "fcntl": _refused_if(1, F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ),
        "ioctl": _refused_if(1, FIOSETOWN, SIOCSPGRP),
        "setpriority": [*_refused_unless_zero(_low(0)), *_refused_unless_zero(_low(1)), _return(ALLOW)],
    }
    for name in ("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr"):
        rules[name] = only_itself
    if not circumstances.holds_truncation:
        rules["truncate"] = [_return(REFUSE)]
    if circumstances.shares_user and not circumstances.holds_signals:
        rules |= _signal_rules(circumstances.pid)
    return rules


def _signal_rules(pid: int) -> dict[str, list[bytes]]:
    own = _allowed_if(0, pid)
    return {
        "kill": _allowed_if(0, pid, 0, -pid & 0xFFFF_FFFF),
        "tkill": own,
        "tgkill": own,
        "rt_sigqueueinfo": own,
        "rt_tgsigqueueinfo": own,
        "pidfd_send_signal": [_return(REFUSE)],
    }


def _clone_rule() -> list[bytes]:
    """No namespaces, no child of our parent's, and no thread with descriptors of its own, which nobody would see."""
    return [
        _load(0),
        _instruction(JUMP_IF_ANY_BIT, NEW_NAMESPACES | CLONE_PARENT, if_false=1),
        _return(REFUSE),
        _instruction(JUMP_IF_ANY_BIT, CLONE_THREAD, if_false=2),
        _instruction(JUMP_IF_ANY_BIT, CLONE_FILES, if_true=1),
        _return(REFUSE),
        _return(ALLOW),
    ]


def _mmap_rule() -> list[bytes]:
    """Shared anonymous memory, which no count of a process shows any more once it was let go, only in small pieces."""
    return [
        _load(3),
        _instruction(JUMP_IF_ANY_BIT, MAP_ANONYMOUS, if_false=7),
        _instruction(JUMP_IF_ANY_BIT, MAP_SHARED, if_false=6),
        _instruction(LOAD_WORD, _low(1) + 4),
        _instruction(JUMP_IF_EQUAL, 0, if_true=1),
        _return(NO_MEMORY),
        _load(1),
        _instruction(JUMP_IF_AT_LEAST, LARGEST_SHARED_BYTES + 1, if_false=1),
        _return(NO_MEMORY),
        _return(ALLOW),
    ]


def _rule(number: int, body: list[bytes]) -> bytes:
    return _instruction(JUMP_IF_EQUAL, number, if_false=len(body)) + b"".join(body)


def _allowed_if(argument: int, *values: int) -> list[bytes]:
    return _decided(argument, values, if_equal=ALLOW, otherwise=REFUSE)


def _refused_if(argument: int, *values: int) -> list[bytes]:
    return _decided(argument, values, if_equal=REFUSE, otherwise=ALLOW)


def _decided(argument: int, values: tuple[int, ...], if_equal: int, otherwise: int) -> list[bytes]:
    jumps = [_instruction(JUMP_IF_EQUAL, value, if_true=len(values) - i) for i, value in enumerate(values)]
    return [_load(argument), *jumps, _return(otherwise), _return(if_equal)]


def _refused_unless_zero(offset: int) -> list[bytes]:
    return [_instruction(LOAD_WORD, offset), _instruction(JUMP_IF_EQUAL, 0, if_true=1), _return(REFUSE)]


def _load(argument: int) -> bytes:
    """The lower half: the kernel's own parameters here have 32 bits."""
    return _instruction(LOAD_WORD, _low(argument))


def _low(argument: int) -> int:
    return ARGUMENTS_OFFSET + 8 * argument


def _return(verdict: int) -> bytes:
    return _instruction(RETURN, verdict)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
