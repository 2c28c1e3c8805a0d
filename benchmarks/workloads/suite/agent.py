"""Agent: five turns with the tools of the other workloads."""

from benchmarks.workloads.workload import Workload, called

_ORDERS = """\
SELECT count(*) AS orders, sum(cents) AS cents FROM orders;
SELECT min(day) AS first, max(day) AS last FROM orders;"""

_COINS = """\
import numpy as np
heights = np.array([330.0, 96.0])
coins = heights / 0.0022
weighed = np.random.default_rng(1).normal(8.5, 0.1, (900, 400))
spread = np.linalg.svd(weighed, compute_uv=False)
print(coins.astype(int), round(float(spread[0])))"""

AGENT = Workload(
    name="agent",
    title="Agent",
    origin="ours",
    call_format="hermes",
    tools=("search", "python", "sql", "calculator"),
    system="You work in steps and use tools.",
    question="Compare the towers of Paris and London, sum up our orders, and say what towers of coins would be worth.",
    replay=(
        "I look both up.\n"
        + called("search", query="height of the Eiffel Tower", site="towers.example", limit=2)
        + "\n"
        + called("search", query="height of Big Ben", site="towers.example", limit=2),
        "Now the orders.\n" + called("sql", script=_ORDERS),
        called("python", code=_COINS),
        called("search", query="two euro coin thickness", site="coins.example", limit=1)
        + "\n"
        + called("calculator", expression="2 * 150000 - 2 * 43636"),
        "In coins of two euros, the Eiffel Tower is worth about 212,700 euros more than Big Ben.",
    ),
    real="the search engine of Search, the file of Database, a real interpreter",
)
