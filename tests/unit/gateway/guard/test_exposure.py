"""Which addresses strangers can reach."""

import pytest

from gateway.guard.exposure import is_public, refuse_public

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


@pytest.mark.parametrize("address", HERE)
def test_this_machine_alone(address: str) -> None:
    assert not is_public(address)
    refuse_public({"address": address, "http_address": ""}, keys_file="", allow_without_keys=False)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_others_too(address: str) -> None:
    assert is_public(address)
    with pytest.raises(ValueError, match=r"http_address = .*keys_file.*127.0.0.1.*allow_without_keys"):
        refuse_public({"address": "127.0.0.1:1", "http_address": address}, keys_file="", allow_without_keys=False)
    refuse_public({"http_address": address}, keys_file="keys", allow_without_keys=False)
    refuse_public({"http_address": address}, keys_file="", allow_without_keys=True)
