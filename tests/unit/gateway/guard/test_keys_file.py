"""The file of keys."""

import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.guard.keys_file import KeysError, default_path, hashed, new_key, parse, read, revoke

A, B = "a" * 64, "b" * 64


def test_comments_and_blank_lines_are_passed_over() -> None:
    assert parse(f"# ours\n\n  \nalice {A}\n  # more\n\tbob-2.x_ {B}", "k") == {
        "alice": bytes.fromhex(A),
        "bob-2.x_": bytes.fromhex(B),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"alice {A}\nalice {B}", "k:2: there is a key alice already"),
        (f"alice {A}\n\nbob {A}", "k:3: bob has another one's key"),
        ("alice", "k:1: wanted is NAME and 64 hexadecimal digits"),
        (f"alice {A} more", "k:1: wanted is"),
        (f"alice {A[:-1]}", "k:1: wanted is"),
        (f"alice {A.upper()}", "k:1: wanted is"),
        (f"al/ice {A}", "k:1: wanted is"),
        (f"{'n' * 65} {A}", "k:1: wanted is"),
        ("alice ck_a-key-that-somebody-pasted", "k:1: wanted is"),
        ("\x00", "k:1: wanted is"),
    ],
)
def test_a_wrong_line_is_named_and_its_text_is_not_repeated(text: str, said: str) -> None:
    with pytest.raises(KeysError) as raised:
        parse(text, "k")
    assert str(raised.value).startswith(said)
    assert "pasted" not in str(raised.value)


def test_a_new_key_is_printed_once_and_kept_as_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys"
    key = new_key(path, "alice")
    assert re.fullmatch(r"ck_[A-Za-z0-9_-]{43}", key)
    assert key not in path.read_text() and key[3:] not in path.read_text()
    assert read(path) == {"alice": hashed(key)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys"]


def test_revoking_takes_one_line_and_leaves_comments_mode_and_link(tmp_path: Path) -> None:
    path, link = tmp_path / "keys", tmp_path / "link"
    path.write_text(f"# by hand\nalice {A}\n  bob {B}\n# alice is above")  # and no newline at the end
    path.chmod(0o640)
    link.symlink_to(path)
    revoke(link, "alice")
    assert path.read_text() == f"# by hand\n  bob {B}\n# alice is above"
    key = new_key(link, "carol")
    assert link.is_symlink() and read(path) == {"bob": bytes.fromhex(B), "carol": hashed(key)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_cannot_be_done_is_said_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(KeysError, match=r"there is no file .*keys"):
        revoke(path, "alice")
    new_key(path, "alice")
    before = path.read_bytes()
    for action, said in (
        (lambda: new_key(path, "alice"), "has a key alice already"),
        (lambda: new_key(path, "no name"), "is no name for a key"),
        (lambda: revoke(path, "bob"), "has no key bob"),
    ):
        with pytest.raises(KeysError, match=said):
            action()
    path.write_bytes(b"nonsense\n" + before)
    with pytest.raises(KeysError, match=r"keys:1: wanted is"):
        new_key(path, "bob")  # a file that is wrong is not made longer
    assert path.read_bytes() == b"nonsense\n" + before


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * (2**20 + 1)], ids=["folder", "not text", "too long"])
def test_what_is_no_file_of_keys_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(KeysError, match=re.escape(str(path))):
        read(path)


def test_keys_that_are_made_at_once_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    names = [f"name-{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda name: new_key(path, name), names))
    assert read(path) == dict(zip(names, map(hashed, made), strict=True))


def test_the_command_line_keeps_keys_where_settings_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_path() == tmp_path / "conveyor" / "keys"


def test_a_file_that_is_a_mount_of_its_own_is_told_from_others(tmp_path: Path) -> None:
    kept, mounted = tmp_path / "kept", tmp_path / "mounted"
    new_key(kept, "alice")
    mounted.touch()
    program = """if True:
        import sys
        from pathlib import Path
        from gateway.guard.keys_file import KeysError, new_key
        try:
            new_key(Path(sys.argv[1]), "bob")
        except KeysError as error:
            print(error)
    """
    alone = ["unshare", "--user", "--map-root-user", "--mount", "--"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nobody but root may mount here")
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"'
    command = [*alone, "sh", "-c", script, "sh", str(kept), str(mounted), sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "mount its folder, and not the file" in done.stdout
    assert list(read(kept)) == ["alice"] and sorted(tmp_path.iterdir()) == [kept, mounted]


def test_comments_in_another_encoding_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    comment = "# Müller\n".encode("latin-1")
    path.write_bytes(comment)
    key = new_key(path, "alice")
    assert read(path) == {"alice": hashed(key)}
    revoke(path, "alice")
    assert path.read_bytes() == comment
