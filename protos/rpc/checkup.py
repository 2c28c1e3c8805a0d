"""What a service finds when it looks itself over.

`python -m SERVICE.checkup` prints a line of JSON for each check, as soon as it is known; `conveyor doctor` reads them.
"""

import enum
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path


class State(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it serves, but not as well as it could
    FAILURE = "failure"  # it cannot serve


@dataclass(frozen=True, slots=True)
class Check:
    """`found`: what is there, for people. `remedy`: what to do about it; empty where there is nothing to do."""

    name: str
    state: State
    found: str
    remedy: str = ""

    def to_line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_line(cls, line: str) -> "Check":
        """The other way round. Raises ValueError or TypeError for what is none."""
        fields = json.loads(line)
        return cls(**{**fields, "state": State(fields["state"])})


def tell(check: Check) -> None:
    """Prints it."""
    print(check.to_line(), flush=True)


def unwritable(folder: Path) -> str:
    """Why nothing can be written below `folder`, which need not be there yet; empty where it can. Leaves no trace."""
    whole = folder.absolute()
    there = next(place for place in (whole, *whole.parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryDirectory(prefix="conveyor-checkup-", dir=there):
            return ""
    except OSError as error:
        return error.strerror or str(error)
