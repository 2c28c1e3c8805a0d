"""A service in the middle of a call: `python -m …stuck SETTINGS SCRIPT`.

It runs the statements of a call that is never sealed, says so when the first has been run, and waits to be killed.
"""

import asyncio
import sys

from tests.unit.tool_service.tools.sql.completions import Completion, opened
from tool_service.execution import events as ev
from tool_service.tools.sql.settings import SqlSettings


async def main() -> None:
    completion = Completion(SqlSettings.model_validate_json(sys.argv[1]))
    completion.runner.text(opened(sys.argv[2]))
    await completion.until(ev.CallOutput)
    print("begun", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
