"""The Python tool: an interpreter that keeps its variables, each statement running while the next is decoded."""
