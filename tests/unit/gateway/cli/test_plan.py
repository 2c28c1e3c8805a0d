import re

import pytest

from gateway.cli.plan import Plan, parse_flags


def commands(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {service.name: service.command[2:] for service in plan.services()}


def flags(command: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(command[1::2], command[2::2], strict=True))


def test_by_default_each_knows_where_the_others_are():
    planned = commands(Plan(environment={}))
    assert [command[0] for command in planned.values()] == ["tool_service", "decoder_service", "gateway"]
    assert flags(planned["tools"]) == {"--address": "127.0.0.1:50053", "--metrics-address": "127.0.0.1:8082"}
    assert flags(planned["decoder"]) == {
        "--address": "127.0.0.1:50052",
        "--metrics-address": "127.0.0.1:8081",
        "--tools-address": "127.0.0.1:50053",
    }
    assert flags(planned["gateway"]) == {
        "--address": "127.0.0.1:50051",
        "--http-address": "127.0.0.1:8080",
        "--decoder-address": "127.0.0.1:50052",
        "--tools-address": "127.0.0.1:50053",
    }


def test_a_flag_goes_to_its_service_and_before_environment_and_file(tmp_path):
    config = tmp_path / "conveyor.toml"
    config.write_text('[tools]\naddress = "127.0.0.1:3"\n[decoder]\naddress = "127.0.0.1:4"\ngrace_seconds = 3\n')
    environment = {"CONVEYOR_TOOLS_ADDRESS": "127.0.0.1:2", "CONVEYOR_GATEWAY_GRACE_SECONDS": "4.5"}
    plan = Plan({("tools", "address"): "0.0.0.0:1", ("decoder", "model"): "m"}, str(config), environment)
    planned = commands(plan)
    assert flags(planned["tools"])["--address"] == "0.0.0.0:1"
    assert flags(planned["decoder"]) | {"--tools-address": "127.0.0.1:1", "--model": "m"} == flags(planned["decoder"])
    assert flags(planned["gateway"])["--decoder-address"] == "127.0.0.1:4"
    assert flags(planned["gateway"])["--config"] == str(config)
    assert [service.grace_seconds for service in plan.services()] == [10.0, 3.0, 4.5]
    assert Plan({}, str(config), environment).value("tools", "address") == "127.0.0.1:2"


def test_health_is_asked_where_it_can_be_reached():
    plan = Plan({("gateway", "address"): "[::]:50051", ("tools", "address"): "unix:/run/tools"}, "", {})
    assert [service.address for service in plan.services()] == ["unix:/run/tools", "127.0.0.1:50052", "[::1]:50051"]


def test_an_emptied_address_is_passed_on_and_not_listened_on():
    plan = Plan({("gateway", "http-address"): ""}, "", {})
    assert flags(commands(plan)["gateway"])["--http-address"] == ""
    assert ("gateway", "http-address") not in plan.listening()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (("decoder", "address"), "nowhere", "decoder.address = 'nowhere' must be host:port with a port from 0"),
        (("tools", "address"), "127.0.0.1:65536", "port from 0 to 65535, or unix:PATH"),
        (("tools", "address"), "", "tools.address = ''"),
        (("tools", "address"), "127.0.0.1:0", "must name a port"),
        (("gateway", "http-address"), "unix:/run/http", "or empty"),
        (("gateway", "http-address"), "localhost:50053", "gateway.http-address and tools.address are both"),
        (("tools", "metrics-address"), "0.0.0.0:50052", "decoder.address and tools.metrics-address are both"),
    ],
)
def test_addresses_are_checked_before_anything_starts(key, value, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Plan({key: value}, "", {}).services()


def test_any_free_port_will_do_where_nobody_calls():
    assert Plan({("gateway", "http-address"): "127.0.0.1:0", ("tools", "metrics-address"): ":0"}, "", {}).services()


def test_a_broken_file_is_named(tmp_path):
    config = tmp_path / "conveyor.toml"
    config.write_text("[tools")
    with pytest.raises(ValueError, match=r"conveyor\.toml"):
        Plan({}, str(config), {}).services()


def test_flags_of_services_are_read_in_both_spellings():
    arguments = ["--decoder.max_running", "8", "--tools.x=a=b", "--gateway.seed", "-5"]
    assert parse_flags(arguments) == {
        ("decoder", "max-running"): "8",
        ("tools", "x"): "a=b",
        ("gateway", "seed"): "-5",
    }


@pytest.mark.parametrize("wrong", ["--modle", "stray", "--decoder.", "--engine.x", "--model.decoder"])
def test_an_unknown_flag_is_an_error(wrong):
    with pytest.raises(ValueError, match="unknown option"):
        parse_flags([wrong, "1"])


def test_a_flag_without_a_value_is_an_error():
    with pytest.raises(ValueError, match=r"--decoder\.x needs a value"):
        parse_flags(["--decoder.x"])
