"""Script: ten SQL statements in one call, each of which takes a while."""

from benchmarks.workloads.workload import Workload, called

_SCRIPT = """\
CREATE TABLE visits AS SELECT i AS id, i % 997 AS page FROM generate_series(1, 400000) AS i;
CREATE INDEX ON visits (page);
SELECT count(DISTINCT page) FROM visits;
UPDATE visits SET page = page + 1 WHERE id % 5 = 0;
CREATE TABLE pages AS SELECT page, count(*) AS n FROM visits GROUP BY page;
SELECT max(n) FROM pages;
DELETE FROM visits WHERE id < 90000;
SELECT count(*) FROM visits;
SELECT sum(length(md5(id::text))) FROM visits;
SELECT avg(a.n * b.n) > 0 FROM pages AS a, pages AS b;"""

SCRIPT = Workload(
    name="script",
    title="Script",
    origin="ours",
    call_format="hermes",
    tools=("warehouse",),
    system="You work on a PostgreSQL database.",
    question="Make a table of visits, count them by page, drop the early ones, and show what is left.",
    replay=(called("warehouse", script=_SCRIPT), "The tables are made and counted."),
    expects=("310001", "[committed]"),
    real="a PostgreSQL server, without fsync, whose tables are gone before each completion; one transaction, committed "
    "at the end",
)
