"""What every speaker of the contract does the same way, about the wire and about its processes.

* `errors`: the domain's errors, each with a stable reason and the gRPC status it becomes.
* `context`: request id, `traceparent` and what is left of the deadline, taken in and passed on.
* `handler`: decorators for a servicer's methods; they bind the context and turn errors into statuses.
* `channel`: opens a client channel.
* `server`: the life of a server: health, reflection, signals, drain.
* `settings`: one frozen object read once from flags, environment and file.
* `leash`, `endings`: child processes end with their parent, and how a process ended is told in words.
* `tls`, `certificates`: the files of TLS, and what servers and channels make of them.
* `telemetry`: JSON logs and the /metrics port.
* `tracing`, `otlp`: spans, and how they are sent.
"""
