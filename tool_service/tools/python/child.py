"""The interpreter's process, once it is confined: runs one statement at a time in a `__main__` that lasts.

It is forked by `zygote.py` and imports nothing but the standard library and files beside it. The frames go over a
socket (see `frames.py`); whatever the statements print goes to descriptors 1 and 2. An answer is written after all of
the statement's own output.
"""

import __future__

import ast
import linecache
import os
import sys
import traceback
import types
from contextlib import suppress
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tool_service.tools.python import frames
    from tool_service.tools.python.gallery import Gallery
else:  # plain files beside this one: see zygote.py
    import frames
    from gallery import Gallery

OWN_FILES = {str(Path(__file__).with_name(name)) for name in ("zygote.py", "child.py", "gallery.py", "figures.py")}
NICENESS = 5  # programs stand back behind the services
FUTURE_FLAGS = __future__.annotations.compiler_flag | __future__.barry_as_FLUFL.compiler_flag


class Program:
    """The text of one program as far as it is known, under a name by which tracebacks find its lines."""

    def __init__(self, number: int) -> None:
        self.name = "<python>" if number == 1 else f"<python {number}>"
        self._lines: list[str] = []
        linecache.cache[self.name] = (0, None, self._lines, self.name)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is known."""
        return not self._lines

    def append(self, source: str) -> str:
        """Adds whole lines and returns them with as many empty lines in front as will give them their numbers."""
        source = source.replace("\r\n", "\n").replace("\r", "\n")
        offset = len(self._lines)
        self._lines += [line + "\n" for line in source.removesuffix("\n").split("\n")]
        return "\n" * offset + source


class Notebook:
    """A `__main__` in which statements run, and the value of the last one."""

    def __init__(self) -> None:
        self._module = types.ModuleType("__main__")
        sys.modules["__main__"] = self._module
        self._program_count = 1
        self._program = Program(1)
        self._flags = 0
        self._value: object = None

    def start_program(self) -> None:
        """Lines count from 1 again, and no `from __future__` holds."""
        if not self._program.is_empty:
            self._program_count += 1
            self._program = Program(self._program_count)
        self._flags = 0
        self._value = None

    def run(self, source: str) -> None:
        """Runs a piece of the program; its last expression's value is kept. Raises what the statements raise."""
        text = self._program.append(source)
        flags = ast.PyCF_ONLY_AST | self._flags
        tree: ast.Module = compile(text, self._program.name, "exec", flags, dont_inherit=True)
        if not tree.body:  # empty lines and comments: the value of what came before them stays
            return
        self._value = None
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(self._compiled(tree, "exec"), self._module.__dict__)
        if isinstance(last, ast.Expr):
            self._value = eval(self._compiled(ast.Expression(last.value), "eval"), self._module.__dict__)

    def shown_value(self) -> str:
        """The repr of the last value; nothing for None."""
        return "" if self._value is None else repr(self._value)

    def _compiled(self, tree: ast.Module | ast.Expression, mode: str) -> types.CodeType:
        code: types.CodeType = compile(tree, self._program.name, mode, self._flags, dont_inherit=True)
        self._flags |= code.co_flags & FUTURE_FLAGS
        return code


class Control:
    """The child's end of the control channel: blocking reads, whole writes."""

    def __init__(self, descriptor: int) -> None:
        os.register_at_fork(after_in_child=self._close)
        self._descriptor = descriptor
        self._pid = os.getpid()

    def receive(self) -> tuple[bytes, str]:
        """The next frame. Raises `EOFError` when the parent is done with us."""
        payload = self._read(frames.payload_length(self._read(frames.HEADER_BYTES)))
        return payload[:1], payload[1:].decode("utf-8", "surrogatepass")

    def send(self, kind: bytes, payload: str | bytes = "") -> None:
        """Writes a frame."""
        data = payload.encode("utf-8", "backslashreplace") if isinstance(payload, str) else payload
        data = frames.encode(kind, data)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def send_figure(self, picture: bytes) -> None:
        """Hands a figure over and waits until it is taken. Does nothing in a process that a statement forked."""
        if os.getpid() == self._pid:
            self.send(frames.FIGURE, picture)
            self.receive()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1  # the number may become another file's

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = os.read(self._descriptor, count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


class Server:
    """Answers frames until the parent leaves or a statement ends the process."""

    def __init__(self, control: Control, gallery: Gallery, traceback_limit: int, value_limit: int) -> None:
        self._control = control
        self._gallery = gallery
        self._traceback_limit = traceback_limit
        self._value_limit = value_limit
        self._notebook = Notebook()
        self._pid = os.getpid()

    def serve(self) -> None:
        """Runs until the service closes the channel."""
        self._control.send(frames.READY)
        os.nice(NICENESS)
        with suppress(EOFError):
            while True:
                kind, text = self._control.receive()
                answer = self._answer(kind, text)
                _flush()
                self._leave_if_forked(answer)
                self._control.send(*answer)

    def _answer(self, kind: bytes, text: str) -> tuple[bytes, str]:
        try:
            return frames.DONE, frames.cut(self._do(kind, text), self._value_limit, "value")
        except SystemExit:
            raise
        except BaseException as error:
            return frames.FAILED, frames.cut(shown_error(error), self._traceback_limit, "traceback")

    def _do(self, kind: bytes, text: str) -> str:
        if kind == frames.SHOW_VALUE:
            return self._notebook.shown_value()
        if kind == frames.SHOW_FIGURES:
            self._gallery.publish_open()
            return ""
        if kind == frames.NEW_PROGRAM:
            self._notebook.start_program()
            self._gallery.start_program()
        self._notebook.run(text)
        return ""

    def _leave_if_forked(self, answer: tuple[bytes, str]) -> None:
        """A statement that forks returns in both processes; only the first is waited for."""
        if os.getpid() == self._pid:
            return
        kind, text = answer
        if kind == frames.FAILED:
            os.write(2, text.encode("utf-8", "backslashreplace"))
        os._exit(1 if kind == frames.FAILED else 0)


def shown_error(error: BaseException) -> str:
    """The traceback without the frames of these files."""
    try:
        return "".join(traceback.format_exception(type(error), error, without_own_frames(error.__traceback__)))
    except Exception:
        return f"{type(error).__name__}, whose traceback cannot be shown\n"


def without_own_frames(frame: types.TracebackType | None) -> types.TracebackType | None:
    """Takes them out wherever they are: those of the backend lie between the program's and matplotlib's."""
    first = last = None
    while frame is not None:
        if frame.tb_frame.f_code.co_filename not in OWN_FILES:
            if last is not None:
                last.tb_next = frame
            first, last = first or frame, frame
        frame = frame.tb_next
    return first


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
