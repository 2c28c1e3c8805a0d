import json
import sys

from benchmarks import search
from tool_service.tools.search.indexing import ENGINES


def test_both_engines_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["search", "--documents", "3", "--rounds", "1", "--json"])
    search.main()
    told = json.loads(capsys.readouterr().out)
    assert [each["engine"] for each in told["engines"]] == list(ENGINES)
    assert all(value > 0 for each in told["engines"] for value in each.values() if isinstance(value, float))
