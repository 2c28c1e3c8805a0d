"""The engine in a thread of the process that speaks gRPC, against the engine in a process of its own.

    isolation ─▶ sessions ══ gRPC ══ server ─▶ EngineThread          (one process)
                             gRPC ══ server ─▶ process_engine ══ pipe ══ engine    (two)

Both serve the decoder's own servicer; only what is behind the seam of commands and outputs differs.
"""
