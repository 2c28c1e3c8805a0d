"""Agent: five turns with the tools of the other workloads."""

from benchmarks.workloads.workload import Workload, called

_COINS = """\
import numpy as np
weights = np.random.default_rng(1).normal(8.5, 0.1, (900, 400))
print(np.linalg.svd(weights, compute_uv=False)[0].round())"""

AGENT = Workload(
    name="agent",
    title="Agent",
    origin="ours",
    call_format="hermes",
    tools=("search", "python", "sql", "calculator"),
    system="You work in steps and use tools.",
    question="Compare the towers of Paris and London, sum up our orders, and say what towers of coins would be worth.",
    replay=(
        called("search", query="height of the Eiffel Tower", site="towers.example")
        + "\n"
        + called("search", query="height of Big Ben", site="towers.example"),
        called("sql", script="SELECT count(*) AS orders, sum(cents) AS cents FROM orders;"),
        called("python", code=_COINS),
        called("search", query="two euro coin thickness", site="coins.example")
        + "\n"
        + called("calculator", expression="2 * (150000 - 43636)"),
        "The Eiffel Tower is worth 212,728 euros more.",
    ),
    expects=("124017348", "5100", "212728"),
    real="the search engine of Search, the file of Database, a real interpreter",
)
