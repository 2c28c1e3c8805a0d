"""The engine in a thread of the process that speaks gRPC, against the engine in a process of its own.

    isolation ─▶ sessions ══ gRPC ══ server ─▶ client ══ socket ══ work, in a thread      (one process)
                             gRPC ══ server ─▶ client ══ socket ══ work, in its process   (two)

Both serve the decoder's own servicer, and both say everything through the same connection.
"""
