"""Completions that can be looked at again: those that run, and the last ones that have ended.

    completions ▶ recording (events as they come; any number may follow) ▶ store (SQLite) ▶ http: list, events, traces

* `recording`: the events of one completion, in memory, within a limit.
* `store`: what has ended, in a file or in memory, a number of completions of each caller and of bytes.
* `summary`: one in a few lines.
* `archive`: both together, by caller and id: nobody finds what another one asked for.
* `lanes`: events as lanes of a timeline; `perfetto`: these for ui.perfetto.dev.
"""
