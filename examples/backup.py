"""Changes the world, but never for a call that is not complete: packs early, and puts the archive in place at the seal.

$ conveyor up --tools.modules examples/backup.py
$ conveyor tools call back_up --arguments '{"folder": "docs", "archive": "/tmp/docs.tar.gz"}'
wrote /tmp/docs.tar.gz
"""

import asyncio
import os
import tarfile
import tempfile
from pathlib import Path

from tool_service.interface import Arg, Call, Effect, Reject, tool


@tool(effect=Effect.WRITE, timeout=120)
async def back_up(folder: Arg[str], archive: Arg[str], call: Call) -> str:
    """Pack a folder into a new archive.

    Args:
        folder: What to pack.
        archive: The file to write, such as notes.tar.gz. It must not exist.
    """
    source = Path(await folder)
    if not source.is_dir():
        raise Reject(f"there is no folder {source}")
    draft = Draft()
    call.on_abandon(draft.remove)  # runs if the call is cut off, turns out wrong, or is given up
    await asyncio.to_thread(draft.pack, source)  # while the archive's name is being decoded
    target = Path(await archive)
    await call.sealed()  # from here on the call is complete and valid
    await asyncio.to_thread(draft.place, target)
    return f"wrote {target}"


class Draft:
    """An archive under a name that nobody looks for."""

    def __init__(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="back_up-")
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(name)

    def pack(self, source: Path) -> None:
        """Packs a folder."""
        with self._file, tarfile.open(fileobj=self._file, mode="w:gz") as packed:
            packed.add(source, arcname=source.name)

    def place(self, target: Path) -> None:
        """Copies it to where it is to be. Raises `FileExistsError` rather than write over anything."""
        try:
            with target.open("xb") as file:
                file.write(self._path.read_bytes())
        finally:
            self.remove()

    def remove(self) -> None:
        """Removes it."""
        self._path.unlink(missing_ok=True)
