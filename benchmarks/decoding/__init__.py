"""Measures decoders side by side: each is a program of its own that is asked one thing at a time.

    decode ─▶ rounds ─▶ process ══ lines of JSON ══ program (one of `programs`, in the environment of its decoder)
       └────▶ figures ─▶ report, page

A program loads its model, says `{"ready": {...}}`, and then answers one line at a time:

    {"decode": {"prompts": [[...], ...], "tokens": 64}}
    {"first": seconds, "steps": [seconds, ...], "tokens": [count, ...], "peak_bytes": ...}    or {"error": "..."}

`first` is from the request until every prompt has its first token; `steps` are those after it, in which the whole batch
decodes, and `tokens` is what came out in each. A request for one token is a measurement of the prompt alone.

Only one program computes at a time; the others are stopped by the kernel, so that threads that spin while they wait
cost nobody anything. `program` and what stands in `programs` for other decoders import nothing of ours but one another,
because nothing of ours is installed there.
"""
