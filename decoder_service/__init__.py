"""The decoder: decodes with one model, batches continuously, and has the model's tool calls run by a tool service.

    servicer ─▶ completion ─▶ engine/ (its own thread: scheduler ▶ model ▶ sampler) ─▶ text of every running sequence per step
                    └──────▶ tool_client (one bidirectional stream per completion)

* `models/`: where weights come from, and how they are loaded.
* `text/`: chat template, detokenisation, stops, grammars.
* `engine/`: sequences, pages, scheduling, forward passes, sampling, the step loop.
"""
