"""The gateway: what clients speak. It admits, bounds and measures completions; it decodes nothing and runs no tool.

* `settings`: what it can be told.
* `request`: a `CompleteRequest` parsed into our own type, or refused with a reason; `schema`: a JSON schema checked.
* `tools`: the catalogue of tools and formats, kept fresh from the tool service.
* `completions`: one completion from admission to ledger, whoever asks for it.
* `guard`: who may call, how often, and from where.
* `decoder`: the client of the decoder; `wire`: its messages turned into the gateway's.
* `ledger`: where a completion's time went, and what overlap saved.
* `servicer`: the gRPC service; `http`: metrics, liveness and readiness; `readiness`: which peers answer; `metrics`.
* `service`: all of it put together; `__main__`: the process.
"""
