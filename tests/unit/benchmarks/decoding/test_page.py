import json
from pathlib import Path

import pytest

from benchmarks import documents, record
from benchmarks.decoding import page
from benchmarks.decoding.decoders import OURS
from benchmarks.decoding.figures import bounds, decoder_figures
from benchmarks.decoding.process import Answer
from benchmarks.decoding.report import as_json
from benchmarks.decoding.rounds import Samples, Work
from decoder_service.models.catalogue import DEFAULT

MARKED = "# Title\n<!-- decode -->\nstale\n<!-- /decode -->\nand\n<!-- turns -->\n<!-- /turns -->\nend\n"


def recorded(tmp_path: Path, failure: str | None = None) -> Path:
    about = {"weights": "bf16", "load_seconds": 1.5}
    answers = {size: [Answer(0.1, (0.02,) * 3, (size,) * 3, 1 << 20)] for size in (1, 8)}
    samples = {
        OURS: Samples(about, answers, [0.5], 1 << 30),
        "transformers": Samples(about, answers, [1.0], 2 << 30),
        "vllm": Samples(failure=failure),
    }
    found = bounds(DEFAULT, {name: decoder_figures(each) for name, each in samples.items()})
    settings = {"model": DEFAULT, "threads": 2, "rounds": 1}
    content = settings | as_json(samples, Work((1, 8)), found)
    return record.write(f"decode-{DEFAULT}", record.machine(), content, tmp_path / "decode.json")


def test_tables_and_plot_are_those_of_the_recorded_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "decoding.md")
    monkeypatch.setattr(page, "PLOT", tmp_path / "decoding.svg")
    page.PAGE.write_text(MARKED)
    turns = {"model": "m", "threads": 2, "rounds": 3, "least_ratio": 10.0, "ratio": 20.0}
    turns["milliseconds"] = {"parked": [1.0, 2.0], "again": [30.0, 20.0, 40.0]}
    other = record.write("turns-m", record.machine(), turns, tmp_path / "turns.json")
    assert page.main([str(recorded(tmp_path, "gone")), str(other)]) == 0
    text = page.PAGE.read_text()
    assert text.startswith("# Title\n<!-- decode -->\n\n![") and text.endswith("<!-- /turns -->\nend\n")
    assert "stale" not in text
    assert f"| sequences | {OURS} | transformers | vllm |" in text
    assert "| 8 | 400 (400–400) | 400 (400–400) | – |" in text
    assert "| 8 | 1.00 (≥ 1.3) | – |" in text
    assert "| again | 30.0 (20.0–40.0) |" in text
    svg = page.PLOT.read_text()
    assert svg.startswith("<?xml") and "transformers" in svg


def test_the_same_run_gives_the_same_plot(tmp_path):
    run = json.loads(recorded(tmp_path).read_text())
    for name in ("a.svg", "b.svg"):
        page.plot(run, tmp_path / name)
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


def test_a_page_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="needs <!-- decode --> and <!-- /decode --> once"):
        documents.put("nothing", "decode", "text")
