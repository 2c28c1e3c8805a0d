"""The matplotlib backend of the interpreter: `plt.show()` hands over the open figures and closes them.

A file of its own because it imports matplotlib, which an interpreter need not do; `gallery.py` has matplotlib find it.
"""

from collections.abc import Callable

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

publish_open: Callable[[], None] | None = None  # set by gallery.py


class FigureManager(FigureManagerBase):
    """A figure of pyplot's."""

    @classmethod
    def pyplot_show(cls, *, block: bool | None = None) -> None:
        """`plt.show()`."""
        if publish_open is not None:
            publish_open()

    def show(self) -> None:
        """`figure.show()`: the figure comes with the others."""


class FigureCanvas(FigureCanvasAgg):
    """Draws in memory."""

    manager_class = FigureManager
