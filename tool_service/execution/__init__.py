"""Runs the calls of completions.

`host` opens a `Runner` per completion, which parses the text and makes a `RunningCall` of each call in it; what happens
comes out as `events`. The four modes differ in one place: when `Runner` launches a call.
"""
