"""Whether this machine can hold in what a model's code does: `python -m tool_service.checkup [--quick]`.

`python -m tool_service.tools.python.selftest` tries every known way out and takes minutes; this takes seconds.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from protos.rpc.checkup import Check, State, tell, unwritable
from tool_service.settings import ToolSettings
from tool_service.tools.loading import state_folder
from tool_service.tools.python import landlock, seccomp
from tool_service.tools.python.fork_server import ForkServer, ForkServerDied
from tool_service.tools.python.interpreter import Interpreter, InterpreterError

SECRET = "not for the model"
START_SECONDS = 60.0
_KERNEL = (
    "Use Linux 5.13 or newer with Landlock in its list of security modules (lsm=landlock,…), on x86_64 or aarch64."
)
_OFF = 'Until then `python` is not offered, unless tools.python.sandbox = "off" says that nothing need hold it in.'


def boundary() -> Check:
    """Landlock and seccomp are there."""
    missing = landlock.what_is_missing() or seccomp.what_is_missing()
    if missing:
        return Check("sandbox", State.FAILURE, missing, f"{_KERNEL} {_OFF}")
    who = "root, each interpreter a user of its own" if os.geteuid() == 0 else f"user {os.geteuid()}"
    return Check("sandbox", State.OK, f"Landlock version {landlock.abi()}, seccomp; as {who}")


async def interpreter() -> Check:
    """An interpreter starts, computes, and reads no file of ours."""
    server = ForkServer()
    began = time.monotonic()
    try:
        async with asyncio.timeout(START_SECONDS):
            await server.ready()
            imported = time.monotonic() - began
            return await _tried(server, imported)
    except (ForkServerDied, InterpreterError, OSError) as error:
        return Check("interpreter", State.FAILURE, str(error) or type(error).__name__, _OFF)
    finally:
        server.close()


async def _tried(server: ForkServer, imported: float) -> Check:
    with tempfile.TemporaryDirectory(prefix="conveyor-checkup-") as folder:
        secret = Path(folder, "secret")
        secret.write_text(SECRET)
        began = time.monotonic()
        running = await Interpreter.open(server)
        try:
            said = await _said(running, "print(6 * 7)")
            opened = time.monotonic() - began
            read = await _said(running, f"try: print(open({str(secret)!r}).read())\nexcept OSError: print('held')")
        finally:
            await running.aclose()
    if said != "42\n":
        return Check("interpreter", State.FAILURE, f"print(6 * 7) prints {said!r}", _OFF)
    if read != "held\n":
        return Check("interpreter", State.FAILURE, "the model's code reads files of this user", _KERNEL)
    return Check(
        "interpreter", State.OK, f"opens in {opened * 1000:.0f} ms, after {imported:.1f} s of imports; held in"
    )


async def _said(running: Interpreter, code: str) -> str:
    return "".join([piece async for piece in running.run(code) if isinstance(piece, str)])


def state(path: Path) -> Check:
    """What must not be done twice can be noted."""
    if problem := unwritable(path):
        remedy = "Name a folder that can be written to with tools.state_folder."
        return Check("state", State.FAILURE, f"{path}: {problem}", remedy)
    return Check("state", State.OK, str(path))


def main() -> int:
    """Tells each check."""
    parser = argparse.ArgumentParser(prog="python -m tool_service.checkup", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="do not start an interpreter")
    options = parser.parse_args()
    tell(state(state_folder(ToolSettings())))
    held = boundary()
    tell(held)
    if held.state is State.OK and not options.quick:
        tell(asyncio.run(interpreter()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
