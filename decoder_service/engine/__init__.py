"""The engine: commands in, one batch of outputs per step out.

`sequence`, `pages` and `scheduler` are policy and import no torch; `kv_cache`, `runner` and `sampler` are mechanism;
`engine` puts them together into a step, `thread` gives the step a thread and the event loop a client.
"""
