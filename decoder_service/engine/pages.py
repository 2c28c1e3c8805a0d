"""The budget of the KV cache: which page belongs to whom. Pages hold `PAGE_TOKENS` tokens each."""

PAGE_TOKENS = 16


class PageBudget:
    """A fixed number of pages, handed out and taken back."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, -1, -1))

    @property
    def free(self) -> int:
        """Pages that nobody has."""
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """Hands out `count` pages. Raises ValueError when fewer are free: callers ask `free` first."""
        if count > len(self._free):
            raise ValueError(f"{count} pages wanted, {len(self._free)} free")
        return [self._free.pop() for _ in range(count)]

    def give_back(self, pages: list[int]) -> None:
        """Takes pages back."""
        self._free.extend(pages)


def pages_for(tokens: int) -> int:
    """Pages that hold this many tokens."""
    return -(-tokens // PAGE_TOKENS)
