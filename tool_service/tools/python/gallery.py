"""Figures of the program, handed over as PNG files: what `plt.show()` shows, and what is open at the program's end.

`Gallery` works without matplotlib, and whichever backend the program chose. The backend that is there from the start
is `figures.py`; matplotlib imports it by a name for which `BackendFinder` holds the code, because the file itself
cannot be read any more when a program first imports matplotlib.
"""

import importlib.util
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tool_service.tools.python import frames
else:  # a plain file beside this one: see zygote.py
    import frames

PYPLOT = "matplotlib.pyplot"


class Gallery:
    """Hands figures over, so many of each program."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._sent = 0
        self._is_full = False

    def start_program(self) -> None:
        """Counts from the start."""
        self._sent, self._is_full = 0, False

    def publish_open(self) -> None:
        """Hands over every open figure and closes it. Raises what drawing raises."""
        pyplot: Any = sys.modules.get(PYPLOT)
        for number in pyplot.get_fignums() if pyplot is not None else ():
            try:
                self._publish(pyplot.figure(number))
            finally:
                pyplot.close(number)

    def _publish(self, figure: Any) -> None:
        if self._sent < frames.MAX_FIGURES:
            picture = io.BytesIO()
            figure.savefig(picture, format="png")
            self._hand_over(picture.getvalue())
        elif not self._is_full:
            self._is_full = True
            _print_notice(f"figures after the first {frames.MAX_FIGURES} are left out")

    def _hand_over(self, picture: bytes) -> None:
        if len(picture) > frames.MAX_FIGURE_BYTES:
            _print_notice(f"a figure of {len(picture)} bytes is left out: {frames.MAX_FIGURE_BYTES} is the most")
            return
        self._sent += 1
        self._send(picture)


class BackendFinder:
    """Finds and loads the backend, like importlib's own finders and loaders."""

    def __init__(self) -> None:
        path = Path(__file__).with_name("figures.py")
        self._code = compile(path.read_text(), path, "exec")
        self.gallery: Gallery | None = None

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """For importlib."""
        return importlib.util.spec_from_loader(name, self) if name == frames.BACKEND else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """For importlib."""

    def exec_module(self, module: ModuleType) -> None:
        """For importlib."""
        exec(self._code, module.__dict__)
        module.publish_open = self.publish_open  # type: ignore[attr-defined]

    def publish_open(self) -> None:
        """What the backend calls."""
        if self.gallery is not None:
            self.gallery.publish_open()


def _print_notice(text: str) -> None:
    sys.stdout.flush()
    os.write(1, f"[{text}]\n".encode())
