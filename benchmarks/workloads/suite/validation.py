"""Validation: the place, which comes first, is none; what follows it need not be decoded."""

from benchmarks.workloads.workload import Workload, called

VALIDATION = Workload(
    name="validation",
    title="Validation",
    origin="paper",
    call_format="hermes",
    tools=("local_news",),
    system="You look up local news.",
    question="What is new around the Bay?",
    replay=(
        called(
            "local_news",
            location="the Bay Area",
            topic="the new ferry lines across the bay, the bridge tolls that go up in spring, the housing plan that "
            "the county voted on last week, the strike of the teachers, and what the weather service says about the "
            "storms that are expected before the weekend",
            limit=10,
        ),
        "Which city do you mean?",
    ),
    expects=("REJECTED",),
    fails=True,
    real="the tool refuses the place, the first 25 of the call's 93 tokens, and the decoder stops the turn: "
    "how much is saved is how much would have followed",
)
