"""Runs in processes that are killed: `python -m …victims SETTINGS JOURNAL`, where SETTINGS is JSON.

It imports everything once. For each number on its input it forks a process that makes this run, kills it when the run's
time is over, and answers with 1 when the run had succeeded before, else with 0.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from tests.unit.tool_service.tools.sql.cut_runs import CutRun
from tool_service.tools.sql.settings import SqlSettings

SUCCEEDED = 7


def main() -> None:
    settings = SqlSettings.model_validate_json(sys.argv[1])
    if settings.database.startswith("postgresql:"):
        import tool_service.tools.sql.postgres  # noqa: F401  # once, for all
    for line in sys.stdin:
        print(int(_killed(CutRun.make(int(line)), settings, Path(sys.argv[2]))), flush=True)


def _killed(run: CutRun, settings: SqlSettings, journal: Path) -> bool:
    victim = os.fork()
    if not victim:
        os._exit(SUCCEEDED if asyncio.run(run.run(settings, journal)) else 1)
    time.sleep(run.life)
    os.kill(victim, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]) == SUCCEEDED


if __name__ == "__main__":
    main()
