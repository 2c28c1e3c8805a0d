"""Settings of a service: one frozen object, read once from flags, environment and file, in this order of precedence.

A service's section is its name: flag `--max-running 8`, environment `CONVEYOR_DECODER_MAX_RUNNING=8`, and in the TOML
file that `CONVEYOR_CONFIG` or `--config` names:

    [decoder]
    max_running = 8

A key that its service does not know is an error in each of the three, so that a misspelling is never a default in
disguise. A list is written with commas on the command line and in the environment. A setting that is a table has keys
of its own: `--search.folder X`, `CONVEYOR_TOOLS_SEARCH_FOLDER=X`, `[tools.search]`.
"""

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from protos.rpc.exposure import refuse_public
from protos.rpc.tls import ServerTls

SECTIONS = ("gateway", "decoder", "tools")
# Variables that are not of one section's prefix: for all services, a short name of a setting of one (`short_names`), or
# for those who call the services.
OTHER_VARIABLES = (
    *("CONVEYOR_CONFIG", "CONVEYOR_CACHE", "CONVEYOR_TOOLS", "CONVEYOR_PYTHON_SANDBOX"),
    *("CONVEYOR_API_KEY", "CONVEYOR_CA", "CONVEYOR_CLIENT_CERT", "CONVEYOR_CLIENT_KEY", "CONVEYOR_SERVER_NAME"),
)

_HOST_PORT = re.compile(r"(?:\[[^\s\[\]]+\]|[^\s:\[\]]*):(\d{1,5})", re.ASCII)
_PORT = "must be host:port with a port from 0 to 65535"


def check_address(text: str) -> str:
    """Gives `text` back where gRPC can listen there; raises a ValueError that says what is wanted."""
    if _is_host_port(text) or re.fullmatch(r"unix:\S+", text):
        return text
    raise PydanticCustomError("address", f"{_PORT}, or unix:PATH")


def check_http_address(text: str) -> str:
    """Gives `text` back where HTTP can listen there, or where it is empty: nowhere. Raises as `check_address`."""
    if not text or _is_host_port(text):
        return text
    raise PydanticCustomError("address", f"{_PORT}, or empty")


def _is_host_port(text: str) -> bool:
    found = _HOST_PORT.fullmatch(text)
    return found is not None and int(found[1]) <= 65535


def check_endpoint(text: str) -> str:
    """Gives `text` back where spans can be sent there, or where it is empty: nowhere. Raises as `check_address`."""
    scheme, _, rest = text.partition("://")
    if not text or (scheme in ("http", "https") and _is_host_port(rest) and not rest.startswith(":")):
        return text
    raise PydanticCustomError("endpoint", "must be http://host:port, or https:// with TLS, or empty")


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Address = Annotated[str, AfterValidator(check_address)]
HttpAddress = Annotated[str, AfterValidator(check_http_address)]
Endpoint = Annotated[str, AfterValidator(check_endpoint)]
# With commas between them wherever they are text; pydantic-settings would want JSON in the environment.
Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]


class ServiceSettings(BaseSettings):
    """What every service can be told. Subclasses set `section` and `env_prefix`, and add their own keys.

    `short_names`: variables that people type by hand, and the path of the setting that each stands for. `asks_who`:
    settings with which the service asks who calls, and how each is told; one of them, or `allow_anyone`, is wanted
    where others than this machine can reach it.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        env_nested_delimiter="_",
        env_nested_max_split=1,
    )
    section: ClassVar[str]
    short_names: ClassVar[Mapping[str, str]] = {}
    asks_who: ClassVar[Mapping[str, str]] = {
        "tls.client_ca": "Name the authorities of those who may call with tls.client_ca"
    }

    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="least severe event that is logged"
    )
    grace_seconds: float = Field(10.0, ge=0, le=600, description="how long running calls may go on after SIGTERM")
    reflection: bool = Field(True, description="answer gRPC server reflection")
    traces_endpoint: Endpoint = Field(
        "", description="where spans are sent by OTLP over gRPC, such as http://127.0.0.1:4317; empty: nowhere"
    )
    traces_ratio: float = Field(1.0, ge=0, le=1, description="share of the traces that begin here that are kept")
    tls: ServerTls = Field(ServerTls(), description="what the service shows, and wants to be shown, where it listens")
    allow_anyone: bool = Field(False, description="listen where others can reach it without asking who calls")

    @property
    def listening(self) -> dict[str, str]:
        """Where it can be called, by the names of the settings that say so."""
        return {}

    @model_validator(mode="after")
    def _refuse_public(self) -> Self:
        if not self.allow_anyone and not any(attrgetter(name)(self) for name in self.asks_who):
            refuse_public(self.listening, next(iter(self.asks_who.values())))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, then the file (which comes in through `init_settings`)."""
        return env_settings, init_settings

    @classmethod
    def load(cls, arguments: list[str]) -> Self:
        """Reads the settings. On a wrong one, prints the key, the value and what is wanted, and exits with status 2."""
        try:
            config, arguments = _split_config(arguments)
            _refuse_unknown_environment(cls)
            flags: CliSettingsSource[Any] = CliSettingsSource(
                cls, cli_prog_name=f"python -m {cls.__module__.partition('.')[0]}", root_parser=None
            )
            values = _read_file(config, cls.section)
            _set_short_names(values, cls.short_names)
            return cls(_cli_settings_source=flags(args=arguments), **values)
        except ValidationError as error:
            raise SystemExit(_fail(cls.section, list(map(_problem, error.errors())))) from None
        except (SettingsError, ValueError, OSError) as error:
            raise SystemExit(_fail(cls.section, [str(error)])) from None


def cache_folder() -> Path:
    """Where what can be made again is kept, models above all: `$CONVEYOR_CACHE`, by default ~/.cache/conveyor."""
    return Path(os.environ.get("CONVEYOR_CACHE") or Path.home() / ".cache" / "conveyor")


def _split_config(arguments: list[str]) -> tuple[str, list[str]]:
    for at, argument in enumerate(arguments):
        if argument.startswith("--config="):
            return argument.partition("=")[2], arguments[:at] + arguments[at + 1 :]
        if argument == "--config" and at + 1 < len(arguments):
            return arguments[at + 1], arguments[:at] + arguments[at + 2 :]
    return os.environ.get("CONVEYOR_CONFIG", ""), arguments


def _read_file(path: str, section: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        tables = tomllib.loads(Path(path).read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    for name in tables:
        if name not in SECTIONS:
            raise ValueError(f"{path}: unknown section [{name}]; there are {', '.join(SECTIONS)}")
    return dict(tables.get(section, {}))


def _set_short_names(values: dict[str, Any], short_names: Mapping[str, str]) -> None:
    """Sets what the environment says under short names; the long names still win."""
    for variable, path in short_names.items():
        if variable in os.environ:
            *parents, key = path.split(".")
            table = values
            for parent in parents:
                table[parent] = dict(table.get(parent, {}))
                table = table[parent]
            table[key] = os.environ[variable]


def _refuse_unknown_environment(cls: type[ServiceSettings]) -> None:
    own = f"CONVEYOR_{cls.section.upper()}_"
    others = tuple(f"CONVEYOR_{section.upper()}_" for section in SECTIONS if section != cls.section)
    for name in os.environ:
        known = name in OTHER_VARIABLES or name.startswith(others)
        if not name.startswith("CONVEYOR_") or known:
            continue
        if not name.startswith(own) or not _is_setting(cls, name.removeprefix(own).lower()):
            raise ValueError(f"unknown environment variable {name}")


def _is_setting(cls: type[ServiceSettings], name: str) -> bool:
    """Whether it is a setting, or begins with one that is a table; whether that has such a key pydantic says."""
    tables = tuple(f"{key}_" for key, field in cls.model_fields.items() if isinstance(field.default, BaseModel))
    return name in cls.model_fields or name.startswith(tables)


def _problem(error: ErrorDetails) -> str:
    """What is wrong with which setting; with several of them together, the sentence says it all."""
    place, message = ".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and isinstance(error["input"], Mapping | BaseModel):
        return f"{place}: {message}" if place else message
    return f"{place} = {error['input']!r}: {message}"


def _fail(section: str, problems: list[str]) -> int:
    for problem in problems:
        print(f"{section}: {problem}", file=sys.stderr)
    print(f"{section}: see --help for every setting", file=sys.stderr)
    return 2
