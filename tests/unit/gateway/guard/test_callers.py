"""Whose key is shown, with a clock that the test moves."""

import hmac
from pathlib import Path

import pytest

from gateway.guard import callers as module
from gateway.guard.callers import Callers
from gateway.guard.keys_file import KeysError, new_key, revoke
from protos.rpc.errors import Reason, ServiceError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(callers: Callers, authorization: str) -> bool:
    try:
        callers.name_of(authorization)
    except ServiceError as error:
        assert error.reason is Reason.UNAUTHENTICATED
        return True
    return False


def test_a_key_has_the_name_that_it_was_made_for(tmp_path: Path) -> None:
    keys = {name: new_key(tmp_path / "keys", name) for name in ("alice", "bob")}
    callers = Callers(tmp_path / "keys")
    assert [callers.name_of(f"Bearer {key}") for key in keys.values()] == list(keys)
    assert callers.name_of(f"bearer   {keys['bob']} ") == "bob"


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        "{key}",
        "Basic {key}",
        "Bearer x{key}",
        "Bearer {key}é",
        "Bearer {key}\xa0",
        "Bearer \x85{key}",
    ],
)
def test_anything_else_is_refused_with_the_remedy(shown: str, tmp_path: Path) -> None:
    key = new_key(tmp_path / "keys", "alice")
    with pytest.raises(ServiceError, match=r"conveyor keys new NAME") as raised:
        Callers(tmp_path / "keys").name_of(shown.format(key=key))
    assert raised.value.reason is Reason.UNAUTHENTICATED
    assert key not in raised.value.message


@pytest.mark.parametrize("place", ["first", "last", "none"])
def test_each_key_is_compared_whichever_is_right(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [new_key(tmp_path / "keys", f"name-{number}") for number in range(9)]
    callers, compared = Callers(tmp_path / "keys"), []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(len(one) == len(other) == 32)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(module, "hmac", type("Counting", (), {"compare_digest": staticmethod(compare)}))
    shown = {"first": keys[0], "last": keys[-1], "none": "ck_" + "x" * 43}[place]
    assert refused(callers, f"Bearer {shown}") == (place == "none")
    assert compared == [True] * 9


def test_a_change_of_the_file_is_seen_after_a_second_and_looked_for_no_more_often(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys", Clock()
    alice, bob = new_key(path, "alice"), new_key(path, "bob")
    callers = Callers(path, clock)
    revoke(path, "alice")
    clock.now = 0.9
    assert callers.name_of(f"Bearer {alice}") == "alice"
    clock.now = 1.0
    assert refused(callers, f"Bearer {alice}")
    assert callers.name_of(f"Bearer {bob}") == "bob"
    carol = new_key(path, "carol")
    clock.now = 2.0
    assert callers.name_of(f"Bearer {carol}") == "carol"


def test_a_file_that_goes_wrong_leaves_the_last_good_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, clock = tmp_path / "keys", Clock()
    alice = new_key(path, "alice")
    good = path.read_text()
    callers = Callers(path, clock)
    for broken in (f"{good}nonsense\n", None):
        path.unlink() if broken is None else path.write_text(broken)
        for _ in range(3):
            clock.now += 1
            assert callers.name_of(f"Bearer {alice}") == "alice"
        said = capsys.readouterr().out
        assert said.count("keys kept") == 1  # once for each change, not for each look
        assert str(path) in said
    path.write_text("# nobody\n")
    clock.now += 1
    assert refused(callers, f"Bearer {alice}")


def test_a_file_that_is_wrong_at_first_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("nonsense\n")
    with pytest.raises(KeysError, match="keys:1"):
        Callers(tmp_path / "keys")


def test_a_file_that_could_not_be_read_is_read_when_it_can_be(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys", Clock()
    alice, bob = new_key(path, "alice"), new_key(path, "bob")
    callers = Callers(path, clock)
    revoke(path, "bob")

    def unreadable(_path: Path) -> dict[str, bytes]:
        raise KeysError(f"cannot read {path}: Permission denied")

    with pytest.MonkeyPatch.context() as patch:  # a test that root runs could read it all the same
        patch.setattr(module, "read", unreadable)
        clock.now = 1
        assert callers.name_of(f"Bearer {bob}") == "bob"
    path.chmod(0o640)
    clock.now = 2
    assert refused(callers, f"Bearer {bob}")
    assert callers.name_of(f"Bearer {alice}") == "alice"
