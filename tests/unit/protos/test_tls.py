"""Files of TLS: what fits, and what is said of what does not."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from decoder_service.settings import DecoderSettings
from protos.rpc.tls import PeerTls, ServerTls
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def said(kind: type[ServerTls] | type[PeerTls], **files: str) -> str:
    with pytest.raises(ValidationError) as raised:
        kind(**files)
    return raised.value.errors()[0]["msg"]


def test_files_that_fit_are_taken(authority: Authority) -> None:
    one = authority.pair("one")
    ServerTls(cert=one.cert, key=one.key)
    ServerTls(cert=one.cert, key=one.key, client_ca=authority.ca)
    PeerTls(ca=authority.ca)
    PeerTls(ca=authority.ca, cert=one.cert, key=one.key, name="one")
    assert not ServerTls().cert and not PeerTls().ca


def test_a_wrong_file_is_named(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.pair("one"), authority.pair("other")
    encrypted, nonsense, missing = (str(tmp_path / name) for name in ("encrypted", "nonsense", "missing"))
    Path(nonsense).write_bytes(b"\xff nonsense")
    Path(encrypted).write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"phrase"),
        )
    )
    for files, problem in (
        ({"cert": missing, "key": one.key}, f"cannot read {missing}: No such file"),
        ({"cert": one.cert, "key": missing}, f"cannot read {missing}: No such file"),
        ({"cert": one.cert, "key": str(tmp_path)}, f"cannot read {tmp_path}: Is a directory"),
        ({"cert": nonsense, "key": one.key}, f"{nonsense} holds no certificate"),
        ({"cert": one.key, "key": one.key}, f"{one.key} holds no certificate"),
        ({"cert": one.cert, "key": nonsense}, f"{nonsense} holds no private key"),
        ({"cert": one.cert, "key": one.cert}, f"{one.cert} holds no private key"),
        ({"cert": one.cert, "key": encrypted}, f"{encrypted} holds no private key that can be read"),
        ({"cert": one.cert, "key": other.key}, f"{other.key} is not the private key of {one.cert}"),
        ({"cert": one.cert, "key": one.key, "client_ca": missing}, f"cannot read {missing}"),
        ({"cert": one.cert, "key": one.key, "client_ca": one.key}, f"{one.key} holds no certificate"),
    ):
        assert problem in said(ServerTls, **files)


def test_what_is_set_without_what_it_needs_is_refused(authority: Authority) -> None:
    one = authority.pair("one")
    assert "belong together" in said(ServerTls, cert=one.cert)
    assert "belong together" in said(ServerTls, key=one.key)
    assert "client_ca needs" in said(ServerTls, client_ca=authority.ca)
    assert "belong together" in said(PeerTls, ca=authority.ca, key=one.key)
    assert "ca is missing" in said(PeerTls, cert=one.cert, key=one.key)
    assert "ca is missing" in said(PeerTls, name="one")


def test_a_service_refuses_them_by_setting_and_file(
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, other = authority.pair("one"), authority.pair("other")
    config = tmp_path / "conveyor.toml"
    config.write_text(f'[decoder.tls]\ncert = "{one.cert}"\n[decoder.peer_tls]\nca = "{authority.ca}"\n')
    monkeypatch.setenv("CONVEYOR_DECODER_TLS_KEY", one.key)
    loaded = DecoderSettings.load([f"--config={config}", "--peer-tls.name", "tools"])
    assert loaded.tls == ServerTls(cert=one.cert, key=one.key)
    assert loaded.peer_tls == PeerTls(ca=authority.ca, name="tools")
    with pytest.raises(SystemExit) as ended:
        DecoderSettings.load([f"--config={config}", "--tls.key", other.key])
    assert ended.value.code == 2
    assert f"decoder: tls: {other.key} is not the private key of {one.cert}\n" in capsys.readouterr().err
