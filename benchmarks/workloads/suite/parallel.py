"""Parallel: four calls in one turn, none of which needs another."""

from benchmarks.workloads.workload import Workload, called

_PRIMES = "print(sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, 40_000)))"

PARALLEL = Workload(
    name="parallel",
    title="Parallel",
    origin="ours",
    call_format="hermes",
    tools=("search", "python"),
    system="You look things up and compute. Make calls that do not need one another in one turn.",
    question="How high are the Eiffel Tower, the Great Pyramid and Big Ben, and how many primes are below 40,000?",
    replay=(
        "\n".join(
            (
                called("search", query="height of the Eiffel Tower"),
                called("search", query="height of the Great Pyramid"),
                called("search", query="height of Big Ben"),
                called("python", code=_PRIMES),
            )
        ),
        "They are 330, 138.5 and 96 metres high; there are 4,203 primes.",
    ),
    expects=("330 metres", "138.5 metres", "96 metres", "4203"),
    real="the search engine of Search and a real interpreter",
)
