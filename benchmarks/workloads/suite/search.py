"""Search: the query comes first, the site after it."""

from benchmarks.workloads.workload import Workload, called

SEARCH = Workload(
    name="search",
    title="Search",
    origin="paper",
    call_format="hermes",
    tools=("search",),
    system="You answer with the help of a search engine.",
    question="What happens to the other tasks of a TaskGroup when one fails? Look only at the documentation of Python.",
    replay=(
        called("search", query="asyncio TaskGroup other tasks when one fails", site="docs.python.org", limit=3),
        "The others are cancelled, and the errors are raised as a group.",
    ),
    expects=("the other tasks are cancelled",),
    real="a search engine on loopback that takes as long as one on the web; the site is filtered from its answer",
)
