import pytest
import typer

from gateway.cli.artifacts import Kept, handed_over, only_named, safe_name, save, saver
from gateway.cli.failure import Failure
from protos.conveyor.gateway.v1.gateway_pb2 import CallArtifact

PICTURE = CallArtifact(call_id="c", name="figure-1.png", media_type="image/png", data=b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("figure-1.png", "figure-1.png"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\Windows\\a.exe", "C__Windows_a.exe"),
        ("/etc/passwd", "_etc_passwd"),
        (".bashrc", "bashrc"),
        ("..", "artifact"),
        ("", "artifact"),
        ("a\x00\x1b[31m\nb.txt", "a___31m_b.txt"),
        ("Größe 中.csv", "Größe 中.csv"),
        ("x" * 1000 + ".tar" + "y" * 1000, "x" * 48 + ".taryyyyyyyy"),
    ],
)
def test_a_name_leads_nowhere_else(name, safe, tmp_path):
    assert safe_name(name) == safe
    assert save(b"", name, tmp_path).parent == tmp_path


def test_the_longest_name_of_the_widest_letters_can_be_written(tmp_path):
    for _ in range(2):
        save(b"", "\U00020000" * 500 + "." + "\U00020000" * 500, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_overwritten(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "a-2.txt").symlink_to(elsewhere)
    saved = [save(data, "a.txt", tmp_path).name for data in (b"1", b"2", b"3")]
    assert saved == ["a.txt", "a-3.txt", "a-4.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"1"
    assert not elsewhere.exists()


def test_the_folder_is_made(tmp_path):
    kept = saver(tmp_path / "new" / "folder")(PICTURE)
    path = tmp_path / "new" / "folder" / "figure-1.png"
    assert path.read_bytes() == b"\x89PNG"
    assert kept.to_json() == {
        "name": "figure-1.png",
        "media_type": "image/png",
        "byte_count": 4,
        "path": str(path),
    }


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(typer.BadParameter, match=r"cannot make the folder"):
        saver(tmp_path / "file" / "folder")


def test_a_folder_that_is_gone_fails_with_what_to_do(tmp_path):
    keep = saver(tmp_path / "folder")
    (tmp_path / "folder").rmdir()
    with pytest.raises(Failure, match=r"cannot write .*figure-1\.png: No such file") as failed:
        keep(PICTURE)
    assert "--artifacts" in failed.value.remedy


def test_without_a_folder_it_is_only_named():
    assert saver(None) is only_named
    kept = only_named(PICTURE)
    assert handed_over(kept) == "handed over figure-1.png, image/png, 4 bytes; --artifacts FOLDER saves it"
    assert "path" not in kept.to_json()


def test_names_and_types_are_harmless_on_a_terminal():
    assert handed_over(Kept("a\x1b[2J\nb", "x\x1b[31m", 1_234_567)).startswith("handed over a b, x, 1234.6 kB;")
