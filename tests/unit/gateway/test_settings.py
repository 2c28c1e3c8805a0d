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
        ("--receive-seconds", "0"),
        ("--max-connections", "0"),
        ("--requests-per-minute", "-1"),
        ("--max-active-per-key", "-1"),
        ("--keys-file", "/no/such/file"),
    ],
)
def test_a_wrong_value_is_named(flag, value, capsys):
    with pytest.raises(SystemExit) as raised:
        GatewaySettings.load([flag, value])
    assert raised.value.code == 2
    assert f"{flag.removeprefix('--').replace('-', '_')} = '{value}'" in capsys.readouterr().err


def test_a_public_address_wants_keys_or_a_word(tmp_path, capsys):
    for flag in ("--address", "--http-address"):
        with pytest.raises(SystemExit) as raised:
            GatewaySettings.load([flag, "0.0.0.0:0"])
        assert raised.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith(
            f"gateway: {flag[2:].replace('-', '_')} = '0.0.0.0:0' can be reached from other machines"
        )
        assert "keys_file" in said and "allow_anyone" in said
    (tmp_path / "keys").write_text(f"alice {'a' * 64}\n")
    for remedy in (["--keys-file", str(tmp_path / "keys")], ["--allow-anyone", "true"]):
        assert GatewaySettings.load(["--address", "0.0.0.0:0", *remedy]).address == "0.0.0.0:0"


def test_a_wrong_line_of_the_file_of_keys_is_named_at_the_start(tmp_path, capsys):
    (tmp_path / "keys").write_text("# ours\nnonsense\n")
    with pytest.raises(SystemExit) as raised:
        GatewaySettings.load(["--keys-file", str(tmp_path / "keys")])
    assert raised.value.code == 2
    assert f"{tmp_path}/keys:2: wanted is NAME" in capsys.readouterr().err


@pytest.mark.parametrize(("key", "value"), [("allowed_hosts", "http://x"), ("allowed_origins", "x.example")])
def test_a_wrong_host_or_origin_is_named(key, value, capsys):
    with pytest.raises(SystemExit) as raised:
        GatewaySettings.load([f"--{key.replace('_', '-')}", f"*,{value}"])
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert f"gateway: {key} = " in said and f"{value!r} must be" in said


def test_an_empty_http_address_switches_http_off():
    assert GatewaySettings.load(["--http-address", ""]).http_address == ""
