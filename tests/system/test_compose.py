"""The three containers, from the host: scripts/test-compose starts them, runs this, and takes them down."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.compose,
    pytest.mark.timeout(180),
    pytest.mark.skipif("COMPOSE_PROJECT_NAME" not in os.environ, reason="run by scripts/test-compose"),
]
GATEWAY = f"127.0.0.1:{os.environ.get('GATEWAY_PORT')}"
SERVICES = ("gateway", "decoder", "tools")
CALL = "I compute it.\n```python\nprint(6 * 7)\n```\n"


def compose(*arguments: str, seconds: float = 60) -> str:
    command = [*os.environ["COMPOSE"].split(), *arguments]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=seconds)
    assert result.returncode == 0, result.stdout
    return result.stdout


def inspect(service: str, template: str) -> str:
    container = compose("ps", "--all", "--quiet", service).strip()
    command = ["docker", "inspect", "--format", template, container]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()


def python_in(service: str, code: str) -> str:
    return compose("exec", "-T", service, "python", "-c", code).strip()


def ask(*arguments: str) -> dict[str, Any]:
    """What `conveyor ask --json` prints, run on the host as a user would."""
    conveyor = Path(sys.executable).with_name("conveyor")
    command = [conveyor, "ask", "--json", "--timeout", "90", "--gateway", GATEWAY, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_question_is_answered():
    answer = ask("--max-tokens", "24", "Say hello.")
    assert answer["text"].strip()
    assert answer["calls"] == []


def test_a_python_call_of_the_model_runs_and_has_a_result(tmp_path):
    turns = tmp_path / "turns.json"
    turns.write_text(json.dumps([CALL]))
    answer = ask("--tools", "python", "--replay", str(turns), "--max-tokens", "64", "What is 6 * 7?")
    call = answer["calls"][0]  # the second turn is the model's own, and it may call again
    assert call["name"] == "python"
    assert "42" in call["result"]
    assert len(answer["turns"]) > 1, "no turn read the result"


def test_http_is_published_and_ready():
    with urllib.request.urlopen(f"http://127.0.0.1:{os.environ['GATEWAY_HTTP_PORT']}/ready", timeout=10) as answer:
        assert json.load(answer)["ready"] is True


def test_only_the_gateway_is_published():
    published = {service: json.loads(inspect(service, "{{json .NetworkSettings.Ports}}")) for service in SERVICES}
    assert [name for name, ports in published.items() if any(ports.values())] == ["gateway"]
    addresses = {binding["HostIp"] for bindings in published["gateway"].values() for binding in bindings}
    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_without_root_on_a_root_that_it_cannot_write(service):
    assert python_in(service, "import os; print(os.getuid() != 0, os.access('/', os.W_OK))") == "True False"


def test_no_way_out_of_the_python_tool_works_in_its_container():
    output = compose("exec", "-T", "tools", "python", "-m", "tool_service.tools.python.selftest", seconds=170)
    assert " attempts as user 10001, 0 escapes" in output


@pytest.mark.parametrize("service", ["tools", "gateway"])
def test_an_image_holds_no_torch(service):
    code = (
        "import importlib.util as u; print([n for n in ('torch', 'transformers', 'decoder_service') if u.find_spec(n)])"
    )
    assert python_in(service, code) == "[]"


@pytest.mark.parametrize("service", ["tools", "decoder"])
def test_a_service_has_no_way_out(service):
    names = json.loads(inspect(service, "{{json .NetworkSettings.Networks}}"))
    command = ["docker", "network", "inspect", "--format", "{{.Internal}}", *names]
    internal = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.split()
    assert internal == ["true"]


def test_all_stop_cleanly_within_their_grace():
    """The last test: nothing runs after it."""
    compose("stop", "--timeout", "15")
    assert {service: inspect(service, "{{.State.ExitCode}}") for service in SERVICES} == dict.fromkeys(SERVICES, "0")
