"""Works out which processes `up` and `demo` start, and with which flags.

A setting's value comes, in this order of precedence, from a flag (`--tools.address X`, or an option of `up` that means
the same), the service's environment (`CONVEYOR_TOOLS_ADDRESS`), the file that `--config` or `CONVEYOR_CONFIG` names,
and the defaults here. Only what other processes must know of is looked up; the rest is the services' own affair.
"""

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from gateway.cli.options import GATEWAY_ADDRESS, GATEWAY_HTTP_ADDRESS, TOOLS_ADDRESS, reachable
from gateway.cli.processes import Service
from protos.rpc.settings import check_address, check_http_address

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

Flags = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. `flags` are by section and key in kebab case; `config` is a TOML file for all three, or empty."""

    flags: Flags = field(default_factory=dict)
    config: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def services(self) -> list[Service]:
        """The three services, tools first. Raises ValueError where the file, an address or a number is wrong."""
        self._check_addresses()
        return [self._service(section) for section in MODULES]

    def listening(self) -> dict[tuple[str, str], str]:
        """Every address that will be listened on, by section and key."""
        values = {key: self.value(*key) for key in _LISTENING}
        return {key: value for key, value in values.items() if value}

    def value(self, section: str, key: str) -> str | None:
        """The value of a setting as text; None where nobody says anything."""
        name = key.replace("-", "_")
        variable = f"CONVEYOR_{section}_{name}".upper()
        found = (self.flags.get((section, key)), self.environment.get(variable), self._table(section).get(name))
        return next((str(value) for value in found if value is not None), DEFAULTS.get((section, key)))

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
        return Service(section, command, reachable(self.value(section, "address") or ""), self._grace_seconds(section))

    def _flags_of(self, section: str) -> dict[str, str]:
        own = {key: value for (owner, key), value in self.flags.items() if owner == section}
        listening = {key: value for (owner, key), value in self.listening().items() if owner == section}
        return {**listening, **self._peers(section), **own}

    def _peers(self, section: str) -> dict[str, str]:
        known = {"tools": (), "decoder": ("tools",), "gateway": ("decoder", "tools")}[section]
        return {f"{peer}-address": reachable(self.value(peer, "address") or "") for peer in known}

    def _grace_seconds(self, section: str) -> float:
        return float(self.value(section, "grace-seconds") or _GRACE_SECONDS)

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
