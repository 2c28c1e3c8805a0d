"""The decoder: decodes with one model, batches continuously, and has the model's tool calls run by a tool service.

    servicer ─▶ completion ─▶ engine/ (its own thread: scheduler ▶ model ▶ sampler) ─▶ every sequence's text, per step
                    └──────▶ tool_client (one bidirectional stream per completion)

* `models/`: where weights come from, and how they are loaded.
* `text/`: chat template, detokenisation, stops, grammars.
* `engine/`: sequences, pages, scheduling, forward passes, sampling, the step loop.
"""

import os

# Before torch loads GNU's OpenMP, whose threads spin while they wait for one another: where something else wants the
# same core, they keep the very thread that they wait for from running. Spinning for microseconds instead of
# milliseconds costs nothing on an idle machine and much less on a busy one: a step of the default model with two
# threads, on two cores with one busy process beside it, took 208 ms instead of 554 ms (medians; 40 ms on the idle
# machine in both cases).
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
