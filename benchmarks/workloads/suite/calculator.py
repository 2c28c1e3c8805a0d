"""Calculator: a call that takes no time."""

from benchmarks.workloads.workload import Workload, called

CALCULATOR = Workload(
    name="calculator",
    title="Calculator",
    origin="paper",
    call_format="hermes",
    tools=("calculator",),
    system="You compute with a calculator.",
    question="What is the length of the diagonal of a field of 105 by 68 metres, in feet?",
    replay=(
        called("calculator", expression="round(sqrt(105 ** 2 + 68 ** 2) / 0.3048, 1)"),
        "The diagonal is about 410.4 feet long.",
    ),
    expects=("410.4",),
    real="all of it",
    cannot_gain=True,
)
