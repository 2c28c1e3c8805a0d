"""The decoder: decodes with one model, batches continuously, and has the model's tool calls run by a tool service.

    servicer ─▶ completion ─▶ engine/ (its own thread: scheduler ▶ model ▶ sampler) ─▶ text of every running sequence per step
                    └──────▶ tool_client (one bidirectional stream per completion)

* `models/`: where weights come from, and how they are loaded.
* `text/`: chat template, detokenisation, stops, grammars.
* `engine/`: sequences, pages, scheduling, forward passes, sampling, the step loop.
"""

import os

# Before torch loads OpenMP. Its threads spin while they wait for one another, and where a tool wants the same core, a spinning
# thread keeps the one that it waits for from running: with one busy process beside it on two cores, a step of the default model
# took 630 ms instead of 69 ms (medians, bfloat16). Tools at work beside the decoder are what this project is about.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
