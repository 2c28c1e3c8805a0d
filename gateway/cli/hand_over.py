"""Commands that are a service's own: they run as `python -m MODULE`, where that service is installed."""

import importlib.util
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.failure import Failure, show_failure
from gateway.cli.run import plain_console


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """The command that is `module`, and what to tell where that is not installed."""

    module: str
    missing: str
    remedy: str

    @property
    def is_installed(self) -> bool:
        """Looks for the files only: importing a service here would load all that it needs."""
        package, *inner = self.module.split(".")
        found = importlib.util.find_spec(package)
        folders = found.submodule_search_locations if found is not None else None
        places = [Path(folder, *inner) for folder in folders or ()]
        return any(place.is_dir() or place.with_suffix(".py").exists() for place in places)

    def line(self, *arguments: str) -> list[str]:
        """What to execute."""
        return [sys.executable, "-m", self.module, *arguments]

    def hand_over(self, *arguments: str) -> int:
        """Runs it with our input and output; gives its exit status. Ctrl-C is its affair."""
        if not self.is_installed:
            show_failure(Failure(self.missing, self.remedy), plain_console(stderr=True))
            return 1
        previous = signal.signal(signal.SIGINT, lambda *_: None)  # the child gets it too, and decides
        try:
            code = subprocess.run(self.line(*arguments), check=False).returncode
        finally:
            signal.signal(signal.SIGINT, previous)
        return code if code >= 0 else 128 - code
