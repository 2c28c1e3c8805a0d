"""Planning: four lines, two searches and two computations that need them."""

from benchmarks.workloads.workload import Workload

PLANNING = Workload(
    name="planning",
    title="Planning",
    origin="paper",
    call_format="plan",
    tools=("plan", "search", "ratio", "calculator"),
    system="You make plans.",
    question="How many times as high as the Great Pyramid is the Eiffel Tower, and how much is that in per cent?",
    replay=(
        ">>>\n"
        "$1 = search(height of the Eiffel Tower in metres)\n"
        "$2 = search(height of the Great Pyramid in metres)\n"
        "$3 = ratio($1, $2)\n"
        "$4 = calculator(round(100 * $3))\n"
        "<<<",
        "It is about 2.4 times as high, 238 per cent.",
    ),
    expects=("$3: 2.383", "$4: 238"),
    real="the search engine of Search; the computations are real, and so small that only their order matters",
)
