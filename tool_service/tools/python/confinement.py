"""What the interpreter's process does to itself before it runs anyone's code.

In this order, because each step needs what a later one takes away:

1. is the first that the kernel kills when memory runs out;
2. limits: address space, CPU time, size and number of files, processes;
3. capabilities, and where it can be, the user: `privileges.py`;
4. dies with the fork server (a change of user would undo that), adopts what its children leave behind, so that their
   CPU time is counted;
5. files: `landlock.py`, with `reach.py` for what can be read;
6. system calls: `seccomp.py`.
"""

import os
import resource
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tool_service.tools.python import kernel, landlock, privileges, reach, seccomp
else:  # plain files beside this one: see zygote.py
    import kernel
    import landlock
    import privileges
    import reach
    import seccomp

FIRST_TO_BE_KILLED = "1000"
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Confinement:
    """What one interpreter gets. `user`: whom to become, or None; `has_boundary`: False keeps only what can be had."""

    folder: str
    user: int | None
    has_boundary: bool
    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    open_file_count: int
    spare_process_count: int


def prepare() -> list[landlock.Grant]:
    """Does before the first fork what is the same for all; opens what each may reach besides its own folder."""
    reach.needed()
    with suppress(seccomp.CannotConfine):
        for shares_user in (True, False):
            seccomp.filter_program(os.uname().machine, _circumstances(shares_user, landlock.abi()))
    grants = [landlock.grant(path, landlock.READ_DIR if names else landlock.READ) for path, names in reach.readable()]
    devices = [landlock.grant(path, landlock.READ_FILE | landlock.WRITE_FILE) for path in reach.DEVICES]
    return [grant for found in (*grants, *devices) for grant in found]


def confine(wanted: Confinement, parent: int, grants: list[landlock.Grant]) -> None:
    """Takes every step. Raises `CannotConfine`, OSError or ValueError."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_BE_KILLED)
    limit_resources(wanted)
    own = landlock.grant(wanted.folder, landlock.own_rights())
    privileges.give_up(wanted.user, [Path(wanted.folder, "work"), *reach.needed()])
    die_with_parent(parent, signal.SIGKILL)
    with suppress(OSError):
        kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
        kernel.prctl(seccomp.PR_SET_DUMPABLE, 1)  # a change of user took it: whoever is that user may look at us
    if wanted.has_boundary:
        raise_fence(own, grants)
        seccomp.refuse_system_calls(_circumstances(wanted.user is None, landlock.abi()))
    else:
        with suppress(seccomp.CannotConfine):
            seccomp.refuse_system_calls(_circumstances(wanted.user is None, 0))


def raise_fence(own: list[landlock.Grant], grants: list[landlock.Grant]) -> None:
    """Leaves the process with these files only, and tries it out. Raises `CannotConfine` or OSError."""
    if missing := landlock.what_is_missing():
        raise seccomp.CannotConfine(missing)
    if not own:
        raise seccomp.CannotConfine("the interpreter's own folder cannot be opened")
    landlock.fence([*own, *grants])
    with suppress(PermissionError):
        next(Path("/").iterdir())
        raise seccomp.CannotConfine("Landlock was taken but does nothing")


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """Has the kernel send a signal when the process that started this one ends; leaves at once if it already has."""
    with suppress(OSError):
        kernel.prctl(kernel.PR_SET_PDEATHSIG, number)
        if os.getppid() == parent:
            return
    os._exit(1)


def limit_resources(wanted: Confinement) -> None:
    """Sets the limits of this process and of each that it starts; none can be raised again without privileges.

    The kernel counts processes and threads per user. With a user of its own an interpreter has `spare_process_count`;
    otherwise they come on top of all that run on the machine now.
    """
    running = 0 if wanted.user is not None else _running_count()
    _limit(resource.RLIMIT_AS, wanted.memory_bytes)
    _limit(resource.RLIMIT_CPU, wanted.cpu_seconds, wanted.cpu_seconds + 1)
    _limit(resource.RLIMIT_FSIZE, wanted.file_bytes)
    _limit(resource.RLIMIT_NOFILE, wanted.open_file_count)
    _limit(resource.RLIMIT_CORE, 1)  # 0 would still have the machine's crash handler called: see core(5)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_NPROC, running + wanted.spare_process_count)


def _circumstances(shares_user: bool, abi: int) -> seccomp.Circumstances:
    holds_signals = abi >= landlock.SIGNAL_ABI
    return seccomp.Circumstances(
        pid=os.getpid() if shares_user and not holds_signals else 0,
        shares_user=shares_user,
        holds_signals=holds_signals,
        holds_truncation=abi >= landlock.TRUNCATION_ABI,
    )


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    _, highest = resource.getrlimit(kind)
    wanted = soft if hard is None else hard
    if highest != resource.RLIM_INFINITY:
        wanted = min(wanted, highest)
    resource.setrlimit(kind, (min(soft, wanted), wanted))


def _running_count() -> int:
    """Processes and threads on this machine: the fourth field of loadavg is `runnable/all`."""
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
