import json

from gateway.cli.log_lines import last_lines, readable


def test_a_json_line_becomes_text_with_its_traceback():
    line = json.dumps({"service": "tools", "event": "failed", "level": "error", "port": 1, "exception": "Trace\n  x"})
    assert readable(line) == ["error: failed port=1", "Trace", "  x"]


def test_other_lines_stay_as_they_are_but_harmless():
    assert readable("\x1b[31mSegmentation fault") == ["Segmentation fault"]
    assert readable("17") == ["17"]


def test_the_end_of_a_log(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("\n".join(f"line {n}" for n in range(50_000)))
    assert last_lines(log, 2) == ["line 49998", "line 49999"]
    log.write_text("")
    assert last_lines(log, 2) == []
