import pytest

from gateway.settings import GatewaySettings


def test_flags_beat_environment_beats_file(tmp_path, monkeypatch):
    file = tmp_path / "conveyor.toml"
    file.write_text('[gateway]\nmax_active = 1\nmax_prompt_chars = 1\naddress = "127.0.0.1:1"\n[tools]\n')
    monkeypatch.setenv("CONVEYOR_GATEWAY_MAX_PROMPT_CHARS", "2")
    monkeypatch.setenv("CONVEYOR_GATEWAY_ADDRESS", "127.0.0.1:2")
    settings = GatewaySettings.load(["--config", str(file), "--address", "127.0.0.1:3"])
    assert (settings.max_active, settings.max_prompt_chars, settings.address) == (1, 2, "127.0.0.1:3")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--address", "nowhere"),
        ("--address", "127.0.0.1:65536"),
        ("--address", ""),
        ("--http-address", "unix:/run/http"),
        ("--http-address", "nowhere"),
        ("--decoder-address", ""),
        ("--default-deadline-seconds", "0"),
        ("--max-deadline-seconds", "nan"),
        ("--max-active", "0"),
        ("--tools-refresh-seconds", "-1"),
    ],
)
def test_a_wrong_value_is_named(flag, value, capsys):
    with pytest.raises(SystemExit) as raised:
        GatewaySettings.load([flag, value])
    assert raised.value.code == 2
    assert f"{flag.removeprefix('--').replace('-', '_')} = '{value}'" in capsys.readouterr().err


def test_an_empty_http_address_switches_http_off():
    assert GatewaySettings.load(["--http-address", ""]).http_address == ""
