"""How fetching fails."""


class CannotFetch(Exception):
    """There is no page; the text says why, in a sentence for the model."""
