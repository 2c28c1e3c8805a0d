import re
from dataclasses import replace

import pytest

from gateway.cli.plan import Plan, parse_flags
from protos.rpc.tls import NO_TLS, PeerTls
from tests.certificates import Authority


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
    given = {("tools", "address"): "0.0.0.0:1", ("tools", "allow-anyone"): "true", ("decoder", "model"): "m"}
    plan = Plan(given, str(config), environment)
    planned = commands(plan)
    assert flags(planned["tools"])["--address"] == "0.0.0.0:1"
    assert flags(planned["decoder"]) | {"--tools-address": "127.0.0.1:1", "--model": "m"} == flags(planned["decoder"])
    assert flags(planned["gateway"])["--decoder-address"] == "127.0.0.1:4"
    assert flags(planned["gateway"])["--config"] == str(config)
    assert [service.grace_seconds for service in plan.services()] == [10.0, 3.0, 4.5]
    assert Plan({}, str(config), environment).value("tools", "address") == "127.0.0.1:2"


def test_health_is_asked_where_it_can_be_reached():
    given = {("gateway", "address"): "[::]:50051", ("tools", "address"): "unix:/run/tools"}
    plan = Plan({**given, ("gateway", "allow-anyone"): "true"}, "", {})
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


@pytest.mark.parametrize("key", ["address", "http-address"])
def test_an_address_that_others_reach_wants_keys(key):
    flags = {("gateway", key): "0.0.0.0:9"}
    with pytest.raises(
        ValueError, match=rf"gateway\.{key} = '0\.0\.0\.0:9' can be reached from other machines.*keys_file"
    ):
        Plan(flags, "", {}).services()
    assert Plan({**flags, ("gateway", "keys-file"): "keys"}, "", {}).services()
    assert Plan(flags, "", {"CONVEYOR_GATEWAY_ALLOW_ANYONE": "true"}).services()
    with pytest.raises(ValueError, match="can be reached"):
        Plan(flags, "", {"CONVEYOR_GATEWAY_ALLOW_ANYONE": "false"}).services()


@pytest.mark.parametrize("section", ["decoder", "tools"])
def test_nor_is_a_service_behind_the_gateway_open_to_all_without_a_word(section):
    flags = {(section, "address"): "0.0.0.0:9"}
    with pytest.raises(ValueError, match=rf"{section}\.address = .*tls.client_ca.*allow_anyone"):
        Plan(flags, "", {}).services()
    assert Plan({**flags, (section, "allow-anyone"): "true"}, "", {}).services()
    assert Plan({(section, "metrics-address"): "0.0.0.0:9"}, "", {}).services()


def test_who_speaks_tls_must_be_checked_and_who_is_checked_must_speak_it(tmp_path):
    ours = Authority(tmp_path)
    pair = ours.pair("service")
    shown = {("tools", "tls.cert"): pair.cert, ("tools", "tls.key"): pair.key}
    with pytest.raises(
        ValueError, match=r"tools\.tls is set, so the decoder must know whom to trust: decoder\.peer_tls"
    ):
        Plan(shown, "", {}).services()
    with pytest.raises(ValueError, match=r"gateway\.peer_tls is set, so decoder must show a certificate"):
        Plan({("gateway", "peer-tls.ca"): ours.ca}, "", {}).services()


def test_health_is_asked_as_the_gateway_asks_and_the_gateways_by_what_it_shows(tmp_path):
    ours = Authority(tmp_path)
    pair, own = ours.pair("service"), ours.pair("caller")
    config = tmp_path / "conveyor.toml"
    tables = [f'[{name}.tls]\ncert = "{pair.cert}"\nkey = "{pair.key}"\n' for name in ("gateway", "decoder", "tools")]
    peer = f'ca = "{ours.ca}"\ncert = "{own.cert}"\nkey = "{own.key}"\n'
    config.write_text("".join(tables) + f"[gateway.peer_tls]\n{peer}[decoder.peer_tls]\n{peer}")
    plan = Plan({}, str(config), {})
    caller = PeerTls(ca=ours.ca, cert=own.cert, key=own.key)
    at_gateway = PeerTls(ca=pair.cert, cert=own.cert, key=own.key)
    assert [service.tls for service in plan.services()] == [caller, caller, at_gateway]
    told = PeerTls(ca=ours.ca, name="gateway.example")
    assert [service.tls for service in replace(plan, gateway_tls=told).services()] == [caller, caller, told]
    assert [service.tls for service in plan.unguarded().services()] == [NO_TLS, NO_TLS, NO_TLS]
    lifted = flags(commands(plan.unguarded())["gateway"])
    assert lifted["--tls.cert"] == lifted["--tls.key"] == lifted["--peer-tls.ca"] == ""
    assert "--keys-file" not in lifted


@pytest.mark.parametrize("wrong", ["--modle", "stray", "--decoder.", "--engine.x", "--model.decoder"])
def test_an_unknown_flag_is_an_error(wrong):
    with pytest.raises(ValueError, match="unknown option"):
        parse_flags([wrong, "1"])


def test_a_flag_without_a_value_is_an_error():
    with pytest.raises(ValueError, match=r"--decoder\.x needs a value"):
        parse_flags(["--decoder.x"])
