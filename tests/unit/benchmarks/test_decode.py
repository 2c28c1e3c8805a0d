"""The benchmark of decoders as a command, over programs without a model."""

import json
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from benchmarks import decode
from benchmarks.decoding import decoders
from benchmarks.decoding.decoders import OURS, Model, NotMadeError, Setup, Start, find_model, start_ours, start_peer

FAKE = Path(__file__).parent / "decoding" / "fake_program.py"
OPTIONS = ["--model", "m", "--threads", "1", "--sequences", "2"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with as much of a model as the benchmark itself reads."""
    Tokenizer(WordLevel({str(token): token for token in range(50)}, unk_token="0")).save(
        str(tmp_path / "tokenizer.json")
    )
    return tmp_path


def fake(fault: str = "") -> Start:
    environment = {"PYTHONPATH": str(decoders.ROOT), "OMP_NUM_THREADS": "1", "FAKE_FAULT": fault}
    return Start([sys.executable, str(FAKE), *OPTIONS], environment)


def run(monkeypatch: pytest.MonkeyPatch, model: Path, **starts: Start) -> tuple[int, dict]:
    monkeypatch.setattr(decode, "_starts", lambda *_: {OURS: fake(), **starts})
    recorded = model / "run.json"
    arguments = ["--model", str(model), "--batch", "2,1,2", "--rounds", "2", "--tokens", "4", "--json", str(recorded)]
    status = decode.main(arguments)
    return status, json.loads(recorded.read_text())


def test_a_run_is_recorded_with_its_machine(monkeypatch, model, capsys):
    status, told = run(monkeypatch, model, peer=fake())
    assert status == 0
    assert told["machine"]["cores"] > 0 and told["machine"]["processor"]
    assert told["work"]["batches"] == [1, 2]
    for name in (OURS, "peer"):
        batches = told["decoders"][name]["batches"]
        assert {size: len(each["rates"]) for size, each in batches.items()} == {"1": 2, "2": 2}
        assert all(each["rate"]["least"] <= each["rate"]["median"] <= each["rate"]["most"] for each in batches.values())
        assert told["decoders"][name]["about"]["load_seconds"] > 0
    assert told["ratios"]["peer"]["1"] > 0
    assert "Decoded tokens a second" in capsys.readouterr().out


def test_a_peer_that_fails_costs_the_exit_code_and_no_figures(monkeypatch, model, capsys):
    status, told = run(monkeypatch, model, peer=fake("load"), other=fake())
    assert status == 1
    assert told["decoders"]["other"]["batches"] and told["decoders"][OURS]["batches"]
    assert "no weights here" in told["decoders"]["peer"]["failure"]
    assert "peer ended (exit status 1) when it was to load" in capsys.readouterr().out


def test_a_peer_without_an_environment_is_named_with_the_remedy(model, tmp_path, capsys):
    arguments = ["--model", str(model), "--peers", "transformers", "--environments", str(tmp_path)]
    assert decode.main(arguments) == 2
    assert "run `make peers`" in capsys.readouterr().err


def test_a_model_that_is_nowhere_is_named(capsys):
    assert decode.main(["--model", "/nowhere", "--peers", ""]) == 2
    assert "'/nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--batch", "0"], "'0' is no number of 1 or more"),
        (["--batch", "1,,4"], "'' is no number"),
        (["--peers", "ollama"], "no peer ollama; there are transformers, vllm, llama.cpp"),
        (["--tokens", "1"], "--tokens must be 2 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        decode.main(arguments)
    assert said in capsys.readouterr().err


def test_a_peer_is_started_by_its_own_python_with_its_own_weights(tmp_path):
    for name in decoders.PEERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / ".installed").touch()
    model = Model("m", "/directory", "/file.gguf")
    starts = {name: start_peer(name, model, tmp_path, Setup(1, 8)) for name in decoders.PEERS}
    for name, start in starts.items():
        assert start.command[0] == str(tmp_path / name / "bin" / "python")
        assert start.command[start.command.index("--sequences") + 1] == "8"
        assert ("/file.gguf" if name == "llama.cpp" else "/directory") in start.command
        assert "PYTHONPATH" not in start.environment
    assert len(starts["vllm"].environment["VLLM_CPU_OMP_THREADS_BIND"].split(",")) == 1
    assert starts["llama.cpp"].environment["OMP_NUM_THREADS"] == "1"
    assert start_ours(model, Setup(1, 8, "float32")).command[:1] == [sys.executable]


def test_llama_cpp_needs_a_file_of_weights(tmp_path):
    (tmp_path / "llama.cpp").mkdir()
    (tmp_path / "llama.cpp" / ".installed").touch()
    with pytest.raises(NotMadeError, match="name it with --gguf FILE"):
        start_peer("llama.cpp", Model("m", "/directory", None), tmp_path, Setup(1, 1))


def test_a_directory_is_a_model_with_the_file_that_is_given(model):
    assert find_model(str(model), None).gguf is None
    assert find_model(str(model), Path("w.gguf")).gguf == "w.gguf"
