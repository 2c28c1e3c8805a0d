"""The decoder: decodes with one model, batches continuously, and has the model's tool calls run by a tool service.

    servicer ─▶ completion ─▶ engine/client ══ a process of its own: scheduler ▶ model ▶ sampler, step by step
                    └──────▶ tool_client (one bidirectional stream per completion)

The service's own process has the tokenizer and the chat template; torch, the weights and the grammars are in the
engine's.

* `models/`: where weights come from, and how they are loaded.
* `text/`: chat template, detokenisation, stops, grammars.
* `engine/`: sequences, pages, scheduling, forward passes, sampling, the step loop, and the process that it runs in.
"""

import os

# Before torch loads GNU's OpenMP, whose threads spin while they wait for one another: where something else wants the
# same core, they keep the very thread that they wait for from running. Spinning for microseconds instead of
# milliseconds costs nothing on an idle machine and much less on a busy one: a step of the default model with two
# threads, on two cores with one busy process beside it, took 208 ms instead of 554 ms (medians; 40 ms on the idle
# machine in both cases).
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
