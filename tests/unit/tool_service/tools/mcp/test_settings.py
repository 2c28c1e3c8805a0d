"""What can be told of MCP servers, and where."""

import sys
from pathlib import Path

import pytest

from tool_service.settings import ToolSettings
from tool_service.tools.mcp.settings import McpServerSettings


def load(text: str, folder: Path) -> ToolSettings:
    (folder / "conveyor.toml").write_text(text)
    return ToolSettings.load(["--config", str(folder / "conveyor.toml")])


def test_a_server_is_a_table_of_the_file(tmp_path: Path) -> None:
    settings = load(
        f"""
        [tools.mcp.time]
        command = ["mcp-server-time", "--local-timezone", "UTC"]
        env = {{ GREETING = "hello" }}
        cwd = "{tmp_path}"
        trusted = true
        only = ["get_current_time"]
        timeout_seconds = 5

        [tools.mcp.far-away]
        url = "https://mcp.example/mcp"
        headers = {{ Authorization = "Bearer x" }}
        """,
        tmp_path,
    )
    assert settings.mcp == {
        "time": McpServerSettings(
            command=["mcp-server-time", "--local-timezone", "UTC"],
            env={"GREETING": "hello"},
            cwd=str(tmp_path),
            trusted=True,
            only=["get_current_time"],
            timeout_seconds=5.0,
        ),
        "far-away": McpServerSettings(url="https://mcp.example/mcp", headers={"Authorization": "Bearer x"}),
    }
    assert "Bearer" not in repr(settings)


def test_servers_are_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVEYOR_TOOLS_MCP", '{"time": {"command": ["mcp-server-time"]}}')
    assert ToolSettings.load([]).mcp == {"time": McpServerSettings(command=["mcp-server-time"])}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("", "tools: mcp.x.url = '': a server has either a command or a url"),
        ('command = ["a"]\nurl = "http://b"', "tools: mcp.x.url = 'http://b': a server has either a command or a url"),
        ('url = "ftp://b"', "tools: mcp.x.url = 'ftp://b': must begin with http:// or https:// and a host"),
        ('command = [""]', "tools: mcp.x.command = ['']: the first part must be a program"),
        ('command = ["a"]\ncwd = "/no/such"', "tools: mcp.x.cwd = '/no/such': there is no such folder"),
        ('command = ["a"]\nheaders = {A = "secret"}', "tools: mcp.x.url = '': headers go with a url"),
        ('url = "http://b"\nenv = {A = "secret"}', "tools: mcp.x.url = 'http://b': env and cwd go with a command"),
        ('command = ["a"]\nenv = {"A=B" = "secret"}', "tools: mcp.x.url = '': env: 'A=B' is no variable"),
        ('url = "http://b"\nheaders = {A = "secret\\n"}', "tools: mcp.x.url = 'http://b': headers: 'A' is no header"),
        ('command = ["a"]\ntimeout_seconds = 0', "tools: mcp.x.timeout_seconds = 0: Input should be greater than 0"),
        ('command = ["a"]\nspeed = 1', "tools: mcp.x.speed = 1: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named(table: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(f"[tools.mcp.x]\n{table}", tmp_path)
    said = capsys.readouterr().err
    assert said.startswith(problem)
    assert "secret" not in said


@pytest.mark.parametrize("name", ["a_b", "1a", "", "ä", "x" * 33])
def test_a_servers_name_has_no_underscore(name: str) -> None:
    with pytest.raises(ValueError, match="String should match pattern"):
        ToolSettings(mcp={name: McpServerSettings(command=[sys.executable])})
