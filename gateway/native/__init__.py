"""Completions over HTTP in the contract's own words, which may outlive whoever asked for them.

The page speaks this, and `conveyor trace`; docs/http.md has it for people.
"""
