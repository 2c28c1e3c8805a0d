"""Script: ten SQL statements in one call, each of which takes a while."""

from benchmarks.workloads.workload import Workload, called

_SCRIPT = """\
CREATE TABLE visits AS SELECT i AS id, i % 997 AS page, i * 7919 % 86400 AS second FROM generate_series(1, 150000) AS i;
CREATE INDEX ON visits (page);
SELECT count(DISTINCT second) FROM visits;
UPDATE visits SET page = page + 1 WHERE id % 5 = 0;
CREATE TABLE by_page AS SELECT page, count(*) AS n, avg(second) AS mean FROM visits GROUP BY page;
SELECT page, n FROM by_page ORDER BY n DESC, page LIMIT 3;
DELETE FROM visits WHERE second < 3600;
SELECT second / 3600 AS hour, count(*) FROM visits GROUP BY hour ORDER BY hour LIMIT 3;
SELECT sum(length(md5(id::text))) FROM visits;
SELECT corr(a.n, b.n) > 0 FROM by_page AS a JOIN by_page AS b ON a.page < b.page;"""

SCRIPT = Workload(
    name="script",
    title="Script",
    origin="ours",
    call_format="hermes",
    tools=("warehouse",),
    system="You work on a PostgreSQL database.",
    question="Make a table of visits, count them by page, drop the early ones, and show what is left.",
    replay=(called("warehouse", script=_SCRIPT), "The tables are made and counted."),
    real="a PostgreSQL server, whose tables are gone before each completion; one transaction, committed at the end",
)
