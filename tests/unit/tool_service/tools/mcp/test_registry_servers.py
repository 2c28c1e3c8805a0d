"""Servers that others wrote, as the registries have them. Each is installed once into a folder of its own."""

import shutil
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from protos.rpc.settings import cache_folder
from tests.unit.tool_service.tools.mcp.running import serving
from tool_service.execution import events as ev
from tool_service.interface import Artifact, Effect
from tool_service.tools.mcp.settings import McpServerSettings

INSTALL_SECONDS = 150
Install = Callable[..., Path]

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 60)  # the first of each also installs


@pytest.fixture(scope="session")
def installed() -> Install:
    """Gives the folder in which commands have put a package; skips the test where they cannot."""

    def install(name: str, *commands: list[str]) -> Path:
        folder = cache_folder() / "mcp_servers" / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
        done = folder / ".installed"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for command in commands:
                _run([part.replace("FOLDER", str(folder)) for part in command])
            done.touch()
        return folder

    return install


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS, text=True)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    except subprocess.TimeoutExpired:
        pytest.skip(f"{' '.join(command)} took more than {INSTALL_SECONDS} s")
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        pytest.skip(f"{' '.join(command)} failed: {said[-1] if said else error.returncode}")


def _from_pypi(*requirements: str) -> tuple[list[str], list[str]]:
    pip = ["FOLDER/bin/pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    return [sys.executable, "-m", "venv", "FOLDER"], pip


async def test_mcp_server_time(installed: Install) -> None:
    folder = installed("time", *_from_pypi("mcp-server-time==2026.10.19"))
    command = [str(folder / "bin/mcp-server-time"), "--local-timezone", "UTC"]
    async with serving(time=McpServerSettings(command=command, trusted=True)) as offered:
        assert sorted(offered.tools) == ["time_convert_time", "time_get_current_time"]
        told = str(await offered.outcome("time_get_current_time", timezone="Asia/Tokyo"))
        assert '"timezone": "Asia/Tokyo"' in told
        assert f"{datetime.now(zoneinfo.ZoneInfo('Asia/Tokyo')):%Y-%m}" in told
        converted = await offered.outcome(
            "time_convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo"
        )
        assert '"time_difference": "+9.0h"' in str(converted)
        wrong = await offered.outcome("time_get_current_time", timezone="Nowhere")
        assert isinstance(wrong, ev.Failure)
        assert "Nowhere" in wrong.message


async def test_mcp_server_sqlite(installed: Install, tmp_path: Path) -> None:
    folder = installed("sqlite", *_from_pypi("mcp-server-sqlite==2025.4.25", "mcp<2"))  # it was written for mcp 1
    command = [str(folder / "bin/mcp-server-sqlite"), "--db-path", str(tmp_path / "test.db")]
    async with serving(sqlite=McpServerSettings(command=command)) as offered:
        assert {tool.effect for tool in offered.tools.values()} == {Effect.WRITE}
        await offered.outcome("sqlite_create_table", query="CREATE TABLE poems (title TEXT)")
        await offered.outcome("sqlite_write_query", query="INSERT INTO poems VALUES ('Ozymandias')")
        assert (
            await offered.outcome("sqlite_read_query", query="SELECT title FROM poems") == "[{'title': 'Ozymandias'}]"
        )
        assert "poems" in str(await offered.outcome("sqlite_list_tables"))
        assert "no such table: prose" in str(await offered.outcome("sqlite_read_query", query="SELECT * FROM prose"))


async def test_server_everything(installed: Install) -> None:
    package = "@modelcontextprotocol/server-everything@2026.8.31"
    npm = ["npm", "install", "--prefix", "FOLDER", "--no-audit", "--no-fund", "--no-progress", package]
    folder = installed("everything", npm)
    command = [str(folder / "node_modules/.bin/mcp-server-everything")]
    async with serving(everything=McpServerSettings(command=command, trusted=True)) as offered:
        assert offered.tools["everything_echo"].effect is Effect.READ
        assert offered.tools["everything_toggle-simulated-logging"].effect is Effect.WRITE
        assert await offered.outcome("everything_echo", message="hello") == "Echo: hello"
        assert await offered.outcome("everything_get-sum", a=1, b=2) == "The sum of 1 and 2 is 3."
        wrong = await offered.outcome("everything_get-sum", a="1", b=2)
        assert isinstance(wrong, ev.Failure)
        assert wrong.code == "INVALID_ARGUMENTS"

        counted = str(await offered.outcome("everything_trigger-long-running-operation", duration=0.2, steps=4))
        assert counted.splitlines()[:4] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]
        assert "completed" in counted

        image = [piece for piece in await offered.use("everything_get-tiny-image") if isinstance(piece, Artifact)]
        assert [(piece.name, piece.media_type) for piece in image] == [("image-2.png", "image/png")]
        assert image[0].data.startswith(b"\x89PNG")

        resource = await offered.use("everything_get-resource-reference", resourceType="Blob", resourceId=1)
        assert any(isinstance(piece, Artifact) and piece.data for piece in resource)
        structured = await offered.use("everything_get-structured-content", location="Chicago")
        assert '"conditions"' in str(structured[0])
