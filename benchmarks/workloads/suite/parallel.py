"""Parallel: four calls in one turn, none of which needs another."""

from benchmarks.workloads.workload import Workload, called

_PRIMES = """\
n = 200_000
sieve = bytearray([1]) * n
for i in range(2, 448):
    if sieve[i]:
        sieve[i * i :: i] = bytes(len(range(i * i, n, i)))
print(sum(sieve) - 2)"""

PARALLEL = Workload(
    name="parallel",
    title="Parallel",
    origin="ours",
    call_format="hermes",
    tools=("search", "python"),
    system="You look things up and compute. Make calls that do not need one another in one turn.",
    question="How high are the Eiffel Tower, the Great Pyramid and Big Ben, and how many primes are below 200,000?",
    replay=(
        "\n".join(
            (
                called("search", query="height of the Eiffel Tower", limit=2),
                called("search", query="height of the Great Pyramid", limit=2),
                called("search", query="height of Big Ben", limit=2),
                called("python", code=_PRIMES),
            )
        ),
        "They are 330, 138.5 and 96 metres high; there are 17,984 primes.",
    ),
    real="the search engine of Search and a real interpreter",
)
