"""The engine: commands in, one batch of outputs per step out.

    process (its start and end) ─▶ __main__ ─▶ building ─▶ engine
    client ══ connection ══ worker (with compiling) ─▶ engine

`sequence`, `pages` and `scheduler` are policy and import no torch; `kv_cache`, `runner` and `sampler` are mechanism;
`engine` puts them together into a step, and knows nothing of the rest. `process` and `client` are in the service's
process, `messages` go between the two.
"""
