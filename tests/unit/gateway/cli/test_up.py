import tempfile

from gateway.cli.processes import State
from gateway.cli.up import example, log_folder, waiting_for


def test_the_line_names_who_is_not_ready():
    states = {"tools": State.READY, "decoder": State.LOADING, "gateway": State.STARTING}
    assert waiting_for(states) == "decoder loading · gateway starting (a new model takes a minute or two to prepare)"
    assert waiting_for({**states, "decoder": State.READY}) == "gateway starting"
    assert waiting_for(dict.fromkeys(states, State.READY)) == "ready"


def test_the_command_to_try_works_as_it_stands():
    command = 'conveyor ask "What is 12*7?" --tools calculator --choice calculator'
    assert example("127.0.0.1:50051") == command
    assert example("[::1]:50051") == f"{command} --gateway '[::1]:50051'"


def test_logs_go_to_the_cache_or_where_that_cannot_be_written_to_a_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path))
    assert log_folder("up").parent == tmp_path / "logs"
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONVEYOR_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = log_folder("up")
    assert (folder.parent, folder.name[:14]) == (tmp_path, "conveyor-logs-")
