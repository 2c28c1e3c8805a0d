"""The paper's evaluation, redone: how much sooner a completion ends because its tools ran while the model decoded.

After "Conveyor: Efficient Tool-aware LLM Serving with Tool Partial Execution" (arXiv 2406.00059), section 4, with what
a reader of it would ask for besides: several baselines, many trials, an ideal to compare with, overheads, and load.

    suite/       the workloads, one file each: what is asked, what the model says, what is real
    world/       what their tools look at: a search engine, news, databases
    tools.py     the tools that are here for measuring
    placement.py which cores the services have
    stack.py     the three services as processes, over that world
    observed.py  one completion, seen by its client
    rounds.py    who runs when: every mode in turn, round by round
    ideal.py     the best that overlapping could do
    rows.py      figures of the rounds: medians, intervals, savings
    sweep.py, overheads.py, instead.py   the other parts
    bounds.py    what must hold
    page.py, figures.py   docs/evaluation.md

**Same text.** A workload carries what the model says (`replay`), turn by turn. The decoder runs its forward passes for
each token and takes these tokens instead of its own, so every mode sees the same text at the real speed of decoding.

**Same machine.** Decoder and tools have cores of their own (`placement.py`), so that tools which run early take no time
from decoding that tools which run late would leave to it.

**Rounds.** In a round each workload runs once in each mode, the order of modes turning from round to round. What a tool
keeps is fresh for each completion: interpreters and connections belong to one completion, tables are made anew. What a
server keeps is warm: the prompt's keys and values, the connection to the search engine, the imports of the fork server.

**Ideal** (docs/architecture.md, ledger). The units that `serial` cut a call into, each with the duration that it had
there, each starting when its text was decoded or its predecessor had ended; no transport, no contention. Times of the
text are those of the completion that is compared, so that a slow moment of decoding is nobody's fault or merit.
"""
