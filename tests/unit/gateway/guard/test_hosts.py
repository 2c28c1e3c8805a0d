"""Names and origins."""

import pytest

from gateway.failures import HttpFailure
from gateway.guard.hosts import Hosts, Origins, check_host, check_origin

REBOUND = [
    "evil.example:8080",
    "",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example#localhost",
    "[::1",
]


def scope(method: str = "POST", **headers: str) -> dict[str, object]:
    fields = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "method": method, "headers": fields, "path": "/"}


def status(check, asked) -> int:
    try:
        check(asked)
    except HttpFailure as failure:
        return failure.status
    return 200


@pytest.mark.parametrize("host", ["localhost:8080", "LocalHost", "127.0.0.1:1", "[::1]:8080", "page.localhost:8080"])
@pytest.mark.parametrize("address", ["127.0.0.1:8080", "0.0.0.0:8080", "gateway.example:8080"])
def test_this_machine_is_always_a_name_of_ours(address, host):
    assert status(Hosts(address, []).check, scope(host=host)) == 200


@pytest.mark.parametrize("host", REBOUND)
@pytest.mark.parametrize("address", ["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080", ":8080"])
def test_a_foreign_name_is_refused(address, host):
    assert status(Hosts(address, ["gateway.example"]).check, scope(host=host)) == 421


def test_the_host_that_is_bound_and_names_that_are_allowed_are_ours():
    hosts = Hosts("10.0.0.7:8080", ["Gateway.example", "fd00::1"])
    for host in ("10.0.0.7:8080", "gateway.EXAMPLE", "gateway.example:443", "[fd00::1]:8080"):
        assert status(hosts.check, scope(host=host)) == 200
    assert status(hosts.check, scope(host="10.0.0.8:8080")) == 421
    assert status(hosts.check, scope()) == 421
    assert status(Hosts("127.0.0.1:1", ["*"]).check, scope(host="any.example")) == 200


@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:8080", ":8080"])
def test_on_every_interface_each_address_is_ours(address):
    for host in ("192.168.1.5:8080", "[fe80::1]:8080"):
        assert status(Hosts(address, []).check, scope(host=host)) == 200
    assert status(Hosts("127.0.0.1:8080", []).check, scope(host="192.168.1.5:8080")) == 421


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, 200),  # no browser
        ({"origin": "http://localhost:8080"}, 200),
        ({"origin": "https://LOCALHOST:8080"}, 200),  # behind something that speaks TLS for us
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://app.example"}, 200),
        ({"origin": "https://app.example.evil.example"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-origin", "origin": "http://localhost:8080"}, 200),
        ({"sec_fetch_site": "cross-site", "origin": "https://app.example"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_only_our_own_pages_and_those_that_are_named_send_requests(method, headers, wanted):
    asked = scope(method, host="localhost:8080", **headers)
    assert status(Origins(["https://app.example"]).check, asked) == wanted
    assert status(Origins(["*"]).check, asked) == 200


def test_to_look_is_no_matter_of_the_origin():
    for method in ("GET", "HEAD", "OPTIONS"):
        asked = scope(method, host="localhost:8080", origin="https://evil.example", sec_fetch_site="cross-site")
        assert status(Origins([]).check, asked) == 200


@pytest.mark.parametrize("name", ["*", "gateway", "gateway.example", "10.0.0.1", "fd00::1"])
def test_a_name_of_a_host(name):
    assert check_host(name) == name


@pytest.mark.parametrize("name", ["https://gateway.example", "gateway.example:8080", "gate way", "[fd00::1]", ""])
def test_what_is_no_name_of_a_host(name):
    with pytest.raises(ValueError, match="without scheme and port"):
        check_host(name)


@pytest.mark.parametrize("origin", ["*", "https://app.example", "http://localhost:3000", "tauri://localhost"])
def test_an_origin(origin):
    assert check_origin(origin) == origin


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "https://App.example", "null", ""])
def test_what_is_no_origin(origin):
    with pytest.raises(ValueError, match="scheme://host"):
        check_origin(origin)
