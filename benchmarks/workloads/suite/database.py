"""Database: one query that is quick, so that there is nothing to gain."""

from benchmarks.workloads.workload import Workload, called

DATABASE = Workload(
    name="database",
    title="Database",
    origin="paper",
    call_format="hermes",
    tools=("sql",),
    system="You answer questions about a shop from its database.",
    question="Which countries buy most?",
    replay=(
        called(
            "sql",
            script="SELECT c.country, count(*) AS orders, sum(o.cents) AS cents FROM orders AS o "
            "JOIN customers AS c ON c.id = o.customer GROUP BY c.country ORDER BY cents DESC LIMIT 5;",
        ),
        "These five countries buy most, in this order.",
    ),
    expects=("Brazil,808,19282652",),
    real="an SQLite file with 500 customers and 5,000 orders",
    cannot_gain=True,
)
