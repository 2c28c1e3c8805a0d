"""What the Dockerfiles and docker-compose.yml promise, read without an engine."""

import re
from pathlib import Path

import pytest
import yaml

from gateway.settings import GatewaySettings

ROOT = Path(__file__).resolve().parents[2]
FOLDER_OF = {"decoder": "decoder_service", "tools": "tool_service", "gateway": "gateway"}
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


def instructions(service: str) -> list[str]:
    """The Dockerfile's instructions, continued lines joined."""
    text = (ROOT / "docker" / f"{service}.Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def final_stage(service: str) -> list[str]:
    lines = instructions(service)
    return lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]


@pytest.mark.parametrize("service", FOLDER_OF)
def test_an_image_holds_protos_and_its_own_folder_only(service):
    copied = [line for line in final_stage(service) if line.startswith(("COPY ", "ADD "))]
    assert copied == [
        "COPY --from=dependencies /opt/venv /opt/venv",
        "COPY protos protos",
        f"COPY {FOLDER_OF[service]} {FOLDER_OF[service]}",
        *(["COPY --from=kernels /kernels decoder_service/forward"] if service == "decoder" else []),
    ]


@pytest.mark.parametrize("service", FOLDER_OF)
def test_an_image_installs_its_own_extra_at_locked_versions(service):
    lines = instructions(service)
    assert f"RUN python scripts/requirements.py {service} > requirements.txt" in lines
    assert all("-c lock.txt" in line or "--no-deps" in line for line in lines if "pip install" in line)


@pytest.mark.parametrize("service", FOLDER_OF)
def test_an_image_runs_without_root_and_knows_its_own_health(service):
    stage = final_stage(service)
    assert "USER conveyor" in stage
    assert any(line.startswith("HEALTHCHECK ") and "protos.rpc.probe" in line for line in stage)
    assert f'CMD ["python", "-m", "{FOLDER_OF[service]}"]' in stage


@pytest.mark.parametrize("service", FOLDER_OF)
def test_an_image_sets_only_variables_that_its_service_knows(service):
    """An unknown CONVEYOR_ variable is an error at start, so a misspelt one here would be an image that cannot run."""
    allowed = re.compile(rf"CONVEYOR_(CACHE|{service.upper()}_[A-Z_]+)")
    names = re.findall(r"\b(CONVEYOR_[A-Z_]+)=", "\n".join(final_stage(service)))
    assert names
    assert [name for name in names if not allowed.fullmatch(name)] == []


@pytest.mark.parametrize("service", FOLDER_OF)
def test_a_container_has_no_rights_that_it_does_not_need(service):
    description = COMPOSE["services"][service]
    assert description["build"]["dockerfile"] == f"docker/{service}.Dockerfile"
    assert description["read_only"] is True
    assert description["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in description["security_opt"]


def test_the_gateway_runs_without_keys_only_where_it_is_published_on_loopback(monkeypatch):
    image = re.findall(r"\b(CONVEYOR_[A-Z_]+)=(\S+)", "\n".join(final_stage("gateway")))
    for name, value in image:
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        GatewaySettings.load([])
    for name, value in COMPOSE["services"]["gateway"]["environment"].items():
        monkeypatch.setenv(name, value)
    assert GatewaySettings.load([]).allow_anyone
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["gateway"]["ports"])


def test_there_are_three_services_and_only_the_gateway_is_published_on_loopback():
    services = COMPOSE["services"]
    assert services.keys() == FOLDER_OF.keys()
    assert [name for name, service in services.items() if "ports" in service] == ["gateway"]
    assert all(port.startswith("127.0.0.1:") for port in services["gateway"]["ports"])


def test_tools_and_decoder_have_no_way_out():
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert COMPOSE["services"]["tools"]["networks"] == ["back"]
    assert COMPOSE["services"]["decoder"]["networks"] == ["back"]


def test_each_service_waits_for_those_that_it_calls_to_be_healthy():
    waits = {name: service.get("depends_on", {}) for name, service in COMPOSE["services"].items()}
    assert {name: set(on) for name, on in waits.items()} == {
        "gateway": {"decoder", "tools"},
        "decoder": {"tools"},
        "tools": set(),
    }
    assert all(condition == {"condition": "service_healthy"} for on in waits.values() for condition in on.values())
