"""Which addresses strangers can reach."""

from pathlib import Path

import pytest

from decoder_service.settings import DecoderSettings
from protos.rpc.exposure import is_public, refuse_public
from protos.rpc.settings import ServiceSettings
from tests.certificates import Authority
from tool_service.settings import ToolSettings

HERE = [
    "127.0.0.1:1",
    "127.8.9.1:1",
    "[::1]:1",
    "localhost:1",
    "LOCALHOST:1",
    "gateway.localhost:1",
    "unix:/run/gateway",
]
HERE += ["[::ffff:127.0.0.1]:1"]
ELSEWHERE = ["0.0.0.0:1", "[::]:1", ":1", "192.168.1.5:1", "10.0.0.1:1", "[fe80::1]:1", "gateway.example:1"]
ELSEWHERE += ["localhost.example:1", "127.0.0.1.example:1", "[::ffff:10.0.0.1]:1", "2130706433:1"]


REMEDY = "Name a file of keys"


@pytest.mark.parametrize("address", HERE)
def test_this_machine_alone(address: str) -> None:
    assert not is_public(address)
    refuse_public({"address": address, "http_address": ""}, REMEDY)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_others_too(address: str) -> None:
    assert is_public(address)
    with pytest.raises(ValueError, match=r"^http_address = .*Name a file of keys, or .*127.0.0.1.*allow_anyone\.$"):
        refuse_public({"address": "127.0.0.1:1", "http_address": address}, REMEDY)


@pytest.mark.parametrize("kind", [DecoderSettings, ToolSettings])
def test_a_service_behind_the_gateway_wants_certificates_or_a_word(
    kind: type[ServiceSettings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        kind.load(["--address", "0.0.0.0:0"])
    assert raised.value.code == 2 and "tls.client_ca" in capsys.readouterr().err
    assert kind.load(["--address", "0.0.0.0:0", "--allow-anyone", "true"]).allow_anyone
    assert kind.load(["--address", "127.0.0.1:0", "--metrics-address", "0.0.0.0:0"])
    authority = Authority(tmp_path)
    shown = authority.pair("service")
    tls = ["--tls.cert", shown.cert, "--tls.key", shown.key, "--tls.client-ca", authority.ca]
    assert kind.load(["--address", "0.0.0.0:0", *tls])
