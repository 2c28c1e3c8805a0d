"""Works out which processes `up` and `demo` start, and with which flags.

A setting's value comes, in this order of precedence, from a flag (`--tools.address X`, or an option of `up` that means
the same), the service's environment (`CONVEYOR_TOOLS_ADDRESS`), the file that `--config` or `CONVEYOR_CONFIG` names,
and the defaults here. Only what other processes must know of is looked up; the rest is the services' own affair.
"""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.cli.options import GATEWAY_ADDRESS, GATEWAY_HTTP_ADDRESS, TOOLS_ADDRESS, reachable
from gateway.cli.processes import Service
from gateway.settings import GatewaySettings
from protos.rpc.exposure import refuse_public
from protos.rpc.settings import ServiceSettings, check_address, check_http_address
from protos.rpc.tls import NO_TLS, PeerTls

MODULES = {"tools": "tool_service", "decoder": "decoder_service", "gateway": "gateway"}
DEFAULTS = {
    ("gateway", "address"): GATEWAY_ADDRESS,
    ("gateway", "http-address"): GATEWAY_HTTP_ADDRESS,
    ("decoder", "address"): "127.0.0.1:50052",
    ("decoder", "metrics-address"): "127.0.0.1:8081",
    ("tools", "address"): TOOLS_ADDRESS,
    ("tools", "metrics-address"): "127.0.0.1:8082",
}
_LISTENING = tuple(DEFAULTS)
_GRACE_SECONDS = 10.0
_EVERYWHERE = {"", "0.0.0.0", "[::]"}
_CALLS = {"tools": (), "decoder": ("tools",), "gateway": ("decoder", "tools")}
_GUARDS = (
    ("gateway", "keys-file"),
    *((section, f"tls.{key}") for section in MODULES for key in ("cert", "key", "client-ca")),
    *((section, f"peer-tls.{key}") for section in ("decoder", "gateway") for key in ("ca", "cert", "key", "name")),
)
_TRUE = {"true", "1", "yes", "on", "y", "t"}

Flags = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. `flags` are by section and key in kebab case; `config` is a TOML file for all three, or empty.

    `gateway_tls`: how the gateway's health is asked over TLS, where that has been said.
    """

    flags: Flags = field(default_factory=dict)
    config: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    gateway_tls: PeerTls = NO_TLS

    def services(self) -> list[Service]:
        """The three services, tools first. Raises ValueError where the file, an address or a number is wrong, or where
        who listens would not be reached, or by everybody."""
        self._check_addresses()
        self._check_exposure()
        self._check_tls()
        return [self._service(section) for section in MODULES]

    def listening(self) -> dict[tuple[str, str], str]:
        """Every address that will be listened on, by section and key."""
        values = {key: self.value(*key) for key in _LISTENING}
        return {key: value for key, value in values.items() if value}

    def value(self, section: str, key: str) -> str | None:
        """The value of a setting as text; None where nobody says anything."""
        name = key.replace("-", "_")
        variable = f"CONVEYOR_{section}_{name}".upper().replace(".", "_")
        found = (self.flags.get((section, key)), self.environment.get(variable), self._in_file(section, name))
        return next((str(value) for value in found if value is not None), DEFAULTS.get((section, key)))

    def unguarded(self) -> "Plan":
        """The same with neither keys nor TLS, for services on loopback that nobody calls but who starts them."""
        return replace(self, flags={**self.flags, **{place: "" for place in _GUARDS if self.value(*place)}})

    def _check_exposure(self) -> None:
        for section in MODULES:
            asks = (GatewaySettings if section == "gateway" else ServiceSettings).asks_who
            allowed = (self.value(section, "allow-anyone") or "").lower() in _TRUE
            if not allowed and not any(self.value(section, key.replace("_", "-")) for key in asks):
                listening = [key for owner, key in _LISTENING if owner == section and key != "metrics-address"]
                addresses = {_named(section, key): self.value(section, key) or "" for key in listening}
                refuse_public(addresses, next(iter(asks.values())))

    def _check_tls(self) -> None:
        for section, peers in _CALLS.items():
            for peer in peers:
                checked, shown = self.value(section, "peer-tls.ca"), self.value(peer, "tls.cert")
                if shown and not checked:
                    raise ValueError(
                        f"{peer}.tls is set, so the {section} must know whom to trust: {section}.peer_tls.ca"
                    )
                if checked and not shown:
                    raise ValueError(f"{section}.peer_tls is set, so {peer} must show a certificate: {peer}.tls.cert")

    def _health_tls(self, section: str) -> PeerTls:
        """How the health of a service is asked: those behind the gateway as it will call them itself."""
        if not self.value(section, "tls.cert"):
            return NO_TLS
        if section == "gateway" and self.gateway_tls.ca:
            return self.gateway_tls
        files = {key: self.value("gateway", f"peer-tls.{key}") or "" for key in ("ca", "cert", "key", "name")}
        if section == "gateway":  # what it will show is known here: no other certificate will do
            files |= {"ca": self.value("gateway", "tls.cert") or "", "name": ""}
        try:
            return PeerTls(**files)
        except ValidationError as error:
            raise ValueError(f"gateway.peer_tls: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None

    def _check_addresses(self) -> None:
        for section, key in _LISTENING:
            _check_address(section, key, self.value(section, key) or "")
        for (one, address), (other, same) in combinations(self.listening().items(), 2):
            if _clash(address, same):
                raise ValueError(f"{_named(*one)} and {_named(*other)} are both {same}; give each its own")

    def _service(self, section: str) -> Service:
        arguments = [part for key, value in self._flags_of(section).items() for part in (f"--{key}", value)]
        config = ["--config", self.config] if self.config else []
        command = (sys.executable, "-m", MODULES[section], *arguments, *config)
        address = reachable(self.value(section, "address") or "")
        return Service(section, command, address, self._grace_seconds(section), self._health_tls(section))

    def _flags_of(self, section: str) -> dict[str, str]:
        own = {key: value for (owner, key), value in self.flags.items() if owner == section}
        listening = {key: value for (owner, key), value in self.listening().items() if owner == section}
        return {**listening, **self._peers(section), **own}

    def _peers(self, section: str) -> dict[str, str]:
        return {f"{peer}-address": reachable(self.value(peer, "address") or "") for peer in _CALLS[section]}

    def _grace_seconds(self, section: str) -> float:
        return float(self.value(section, "grace-seconds") or _GRACE_SECONDS)

    def _in_file(self, section: str, name: str) -> Any:
        found: Any = self._table(section)
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def _table(self, section: str) -> dict[str, Any]:
        path = self.config or self.environment.get("CONVEYOR_CONFIG", "")
        if not path:
            return {}
        try:
            table = tomllib.loads(Path(path).read_text("utf-8")).get(section, {})
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{path}: {error}") from error
        return table if isinstance(table, dict) else {}


def _check_address(section: str, key: str, value: str) -> None:
    called = key == "address"
    try:
        (check_address if called else check_http_address)(value)
    except ValueError as error:
        raise ValueError(f"{_named(section, key)} = {value!r} {error}") from None
    if called and _host_and_port(value)[1] == "0":
        raise ValueError(f"{_named(section, key)} = {value!r} must name a port, so that the others can find it")


def _clash(one: str, other: str) -> bool:
    """Whether two cannot listen on these addresses at once."""
    (host, port), (other_host, other_port) = _host_and_port(one), _host_and_port(other)
    hosts = {host, other_host}
    return port == other_port != "0" and (len(hosts) == 1 or ("unix" not in hosts and bool(hosts & _EVERYWHERE)))


def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":") if not address.startswith("unix:") else address.partition(":")
    return {"localhost": "127.0.0.1"}.get(host, host), port if host == "unix" else str(int(port))


def _named(section: str, key: str) -> str:
    return f"{section}.{key}"


def parse_flags(arguments: Sequence[str]) -> Flags:
    """Reads `--SECTION.KEY VALUE` and `--SECTION.KEY=VALUE`. Raises ValueError that names what is wrong."""
    flags: Flags = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        section, dot, key = name.removeprefix("--").partition(".")
        if not (name.startswith("--") and dot and key and section in MODULES):
            raise ValueError(
                f"unknown option {name}; settings of a service are given as --gateway.KEY, --decoder.KEY or --tools.KEY"
            )
        if not equals and not rest:
            raise ValueError(f"{name} needs a value")
        if (section, key.replace("_", "-")) in flags:
            raise ValueError(f"{name} is given twice; the values of a list are separated by commas")
        flags[section, key.replace("_", "-")] = value if equals else rest.pop(0)
    return flags
