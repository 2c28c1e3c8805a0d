"""How commands end when their output has no reader or no room, and when a peer never comes to an end."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.integration.commands import BOUND, CLI, ROOT, start

NOBODY = tuple(
    word for name in ("gateway-http", "decoder-metrics", "tool-metrics") for word in (f"--{name}", "127.0.0.1:1")
)


async def ending(*arguments: str, output: int, **environment: str) -> tuple[int, str]:
    """Exit status and standard error of a command whose output goes to the file or pipe `output`."""
    process = await asyncio.create_subprocess_exec(
        *(*CLI, *arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(BOUND):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, errors.decode()


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, ...]:
    """A command that prints without `run`, in one piece that is written at the very end."""
    (tmp_path / "keys").touch(mode=0o600)
    return ("keys", "list", "--json", "--file", str(tmp_path / "keys"))


async def test_a_stream_whose_reader_leaves_ends_without_a_word() -> None:
    reader, writer = os.pipe()
    running = asyncio.ensure_future(ending("top", "--interval", "0.1", *NOBODY, output=writer))
    try:
        assert (await asyncio.to_thread(os.read, reader, 100)).startswith(b"gateway")
        os.close(reader)  # as `head -1` does
        assert await running == (1, "")
    finally:
        os.close(writer)


async def test_one_piece_that_nobody_reads_is_no_traceback(keys: tuple[str, ...]) -> None:
    for arguments in (("top", "--once", "--interval", "0.1", *NOBODY), keys, ("--help",)):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            assert await ending(*arguments, output=writer) == (1, "")
        finally:
            os.close(writer)


async def test_a_full_disk_is_told(keys: tuple[str, ...]) -> None:
    for arguments in (("top", "--once", "--interval", "0.1", *NOBODY), keys):
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            status, errors = await ending(*arguments, output=full)
        finally:
            os.close(full)
        assert status == 1
        assert errors == "error: cannot write the output: No space left on device\nMake room where it goes.\n"


async def test_a_locale_without_our_letters_gets_the_rest(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        arguments = ("top", "--once", "--interval", "0.1", *NOBODY)
        status, errors = await ending(*arguments, output=output.fileno(), PYTHONIOENCODING="ascii")
    assert status == 1 and errors.startswith("error: nobody answers: ")
    assert "kv cache        ?" in (tmp_path / "output").read_text("ascii")


@pytest.mark.parametrize("command", ["trace", "top"])
async def test_ctrl_c_is_heeded_while_a_peer_drips(command: str) -> None:
    asked = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        gone = asyncio.ensure_future(reader.read())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        asked.set()
        while not gone.done():
            writer.write(b" ")
            await asyncio.wait([gone], timeout=0.1)
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        process = await start(command, "--gateway-http", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        try:
            async with asyncio.timeout(BOUND):
                await asked.wait()
                process.send_signal(signal.SIGINT)
                _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    assert (process.returncode, errors) == {"trace": (130, b"cancelled\n"), "top": (0, b"")}[command]
