"""The fork server's process: imports what is heavy once, then forks an interpreter for each request.

Started as a file, `python -I -u -X utf8 zygote.py SOCKET PARENT PRELOAD`, so that it has nothing of the service: no
gRPC, no thread, no secret. It has one thread, talks to `fork_server.py` in JSON, one message a packet, and lives until
the service closes SOCKET or dies; then it kills every interpreter with its group and removes the folders.

    from the service   {"fork": NUMBER, …}          two descriptors come with it: control socket, output pipe
                       {"bury": PID}                the service is done with this one: its number may be used again
    to the service     {"ready": [what could not be imported]}
                       {"forked": NUMBER, "pid": PID}, {"failed": NUMBER, "why": TEXT}
                       {"ended": PID, "status": STATUS}   negative for a signal

An interpreter that has ended stays a zombie until it is buried, so its number cannot belong to anyone else while its
group may still be killed.
"""

import gc
import importlib
import io
import json
import multiprocessing
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tool_service.tools.python import child, confinement, frames, gallery, landlock, seccomp, semaphores
else:  # -I keeps this folder off the path; the statements shall not find these modules either
    sys.path.insert(0, str(Path(__file__).parent))
    import child
    import confinement
    import frames
    import gallery
    import landlock
    import seccomp
    import semaphores

    del sys.path[0]
    for _module in (child, confinement, frames, gallery, landlock, seccomp, semaphores):
        del sys.modules[_module.__name__]
    for _name in ("kernel", "privileges", "reach"):
        del sys.modules[_name]

MESSAGE_BYTES = 1 << 16
DESCRIPTORS_OF_A_JOB = 2
CHILDREN = Path("/proc/thread-self/children")  # not every kernel has it
MATPLOTLIB, PYPLOT, NUMPY_RANDOM = "matplotlib", "matplotlib.pyplot", "numpy.random"


@dataclass(frozen=True, slots=True)
class Job:
    """One interpreter to be."""

    control: int
    output: int
    confinement: confinement.Confinement
    environment: dict[str, str]
    traceback_chars: int
    value_chars: int


class Zygote:
    """Waits for requests and for interpreters to end."""

    def __init__(self, service: socket.socket) -> None:
        self._service = service
        self._folders: dict[int, str] = {}  # of the interpreters that are not buried yet
        self._told: set[int] = set()
        self._doomed: set[int] = set()
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)

    def serve(self) -> Job:
        """Forks until the service leaves, and exits then. Returns in the forked processes, each with its job."""
        poll = select.poll()
        poll.register(self._service, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._woken:
                    self._notice_signals()
                elif job := self._take_message():
                    return job

    def _notice_signals(self) -> None:
        if signal.SIGTERM in os.read(self._woken, MESSAGE_BYTES):
            self._leave()
        for pid in tuple(self._doomed):
            self._reap(pid)
        self._reap_strangers()
        for pid in self._folders.keys() - self._told:
            if result := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._told.add(pid)
                by_signal = result.si_code != os.CLD_EXITED
                self._tell(ended=pid, status=-result.si_status if by_signal else result.si_status)

    def _take_message(self) -> Job | None:
        try:
            text, descriptors, _, _ = socket.recv_fds(
                self._service, MESSAGE_BYTES, DESCRIPTORS_OF_A_JOB, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            text = b""
        if not text:
            self._leave()
        message = json.loads(text)
        if "bury" in message:
            self._bury(message["bury"])
            return None
        job = _job(message, descriptors)
        try:
            return self._fork(message["fork"], job)
        finally:
            if os.getpid() == OWN_PID:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _fork(self, number: int, job: Job) -> Job | None:
        """Forks; returns the job in the new process."""
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(failed=number, why=str(error))
            return None
        if pid == 0:
            self._service.detach()  # its number will be another file's
            return job
        self._folders[pid] = job.confinement.folder
        self._tell(forked=number, pid=pid)
        return None

    def _bury(self, pid: int) -> None:
        if pid in self._folders:
            _kill_group(pid)
            self._doomed.add(pid)
            self._reap(pid)

    def _reap(self, pid: int) -> None:
        """Lets a number go if its process has ended."""
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            del self._folders[pid]
            self._doomed.discard(pid)
            self._told.discard(pid)

    def _reap_strangers(self) -> None:
        """Children that nobody asked for; the filter lets no interpreter make any."""
        with suppress(OSError):
            for pid in map(int, CHILDREN.read_text().split()):
                if pid not in self._folders:
                    os.waitpid(pid, os.WNOHANG)

    def _tell(self, **message: Any) -> None:
        try:
            self._service.send(json.dumps(message).encode())
        except OSError:
            self._leave()

    def _leave(self) -> NoReturn:
        for pid in self._folders:
            _kill_group(pid)
        for folder in self._folders.values():
            with suppress(RecursionError):
                shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # it may not lead its group yet
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _job(message: dict[str, Any], descriptors: list[int]) -> Job:
    control, output = descriptors
    return Job(
        control,
        output,
        confinement.Confinement(**message["confinement"]),
        message["environment"],
        message["traceback_chars"],
        message["value_chars"],
    )


def become(job: Job, grants: list[landlock.Grant], finder: gallery.BackendFinder) -> None:
    """Turns a forked process into an interpreter, and serves."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(job.output, 1)
    os.dup2(job.output, 2)
    control = child.Control(job.control)
    os.environ.clear()
    os.environ.update(job.environment)
    os.chdir(Path(job.confinement.folder, "work"))
    try:
        confinement.confine(job.confinement, OWN_PID, grants)
    except (seccomp.CannotConfine, OSError, ValueError) as error:
        control.send(frames.REFUSED, str(error))
        return
    os.closerange(3, job.control)
    os.closerange(job.control + 1, 1 << 20)
    finder.gallery = gallery.Gallery(control.send_figure)
    if job.confinement.has_boundary:
        locks: Any = importlib.import_module("_multiprocessing")
        locks.SemLock = semaphores.SemLock
    differ_from_others(job.environment)
    sys.argv = [""]
    sys.path.insert(0, "")
    child.Server(control, finder.gallery, job.traceback_chars, job.value_chars).serve()


def differ_from_others(environment: dict[str, str]) -> None:
    """Gives what was imported before the fork its own randomness and its own folders. `random` sees to itself."""
    if NUMPY_RANDOM in sys.modules:
        sys.modules[NUMPY_RANDOM].seed()
    tempfile.tempdir = None
    if MATPLOTLIB in sys.modules:  # it looks these up once and keeps them
        matplotlib: Any = sys.modules[MATPLOTLIB]
        folder = environment["MPLCONFIGDIR"]
        matplotlib.get_configdir = matplotlib.get_cachedir = lambda: folder
        os.environ["MPLBACKEND"] = "Agg"  # it has its backend; what the program starts cannot import ours


def preload(names: list[str]) -> list[str]:
    """Imports modules; returns a sentence for each that cannot be imported."""
    problems = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
    if PYPLOT in sys.modules:
        draw_once(sys.modules[PYPLOT])
    return problems


def draw_once(pyplot: Any) -> None:
    """Has fonts and the backend loaded, which a first figure would wait for."""
    pyplot.switch_backend(frames.MPLBACKEND)
    pyplot.plot([1, 2])
    pyplot.title("x")
    pyplot.savefig(io.BytesIO())
    pyplot.close()


def main() -> None:
    """Imports, tells that it is ready, forks. Goes on in each forked process as an interpreter."""
    descriptor, parent, names = sys.argv[1:]
    confinement.die_with_parent(int(parent), signal.SIGTERM)
    service = socket.socket(fileno=int(descriptor))
    service.set_inheritable(False)
    finder = gallery.BackendFinder()
    sys.meta_path.append(finder)
    problems = preload([name for name in names.split(",") if name])
    if sys.version_info >= (3, 14):  # whose default needs a socket with a name
        multiprocessing.set_start_method("fork")
    grants = confinement.prepare()
    zygote = Zygote(service)
    gc.collect()
    gc.freeze()
    service.send(json.dumps({"ready": problems}).encode())
    become(zygote.serve(), grants, finder)


OWN_PID = os.getpid()

if __name__ == "__main__":
    main()
