"""The budget of the KV cache: which page belongs to whom. Pages hold `PAGE_TOKENS` tokens each.

A full page is never written again, so everybody whose tokens begin the same can hold it: it is found by these tokens
(`prefixes`) and counts its holders. A page that nobody holds stays findable until it is needed for something else, the
least recently used first. A page that is not full has one holder, who writes it.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator

from decoder_service.engine.prefixes import PrefixTree
from decoder_service.engine.sequence import Sequence

PAGE_TOKENS = 16


class PageBudget:
    """A fixed number of pages, handed out to sequences and taken back."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, -1, -1))
        self._idle: OrderedDict[int, None] = OrderedDict()  # held by nobody, findable; least recently used first
        self._holders = [0] * count
        self._tree = PrefixTree()

    @property
    def free(self) -> int:
        """Pages that nobody holds, whether they can be found or not."""
        return len(self._free) + len(self._idle)

    def holders(self, page: int) -> int:
        """How many sequences hold a page."""
        return self._holders[page]

    def reuse(self, sequence: Sequence) -> None:
        """Gives a sequence that holds nothing the pages of the longest prefix that is known of its tokens.

        One token at least stays to be run, so that there are logits.
        """
        for prefix in self._tree.find(_full_pages(sequence.tokens, 0, (len(sequence.tokens) - 1) // PAGE_TOKENS)):
            page = prefix.pages[0]
            self._holders[page] += 1
            self._idle.pop(page, None)
            sequence.pages.append(page)
            sequence.prefix = prefix
        sequence.cached = len(sequence.pages) * PAGE_TOKENS

    def take(self, sequence: Sequence, count: int) -> None:
        """Hands out `count` more pages. Raises ValueError when fewer are free: callers ask `free` first."""
        if count > self.free:
            raise ValueError(f"{count} pages wanted, {self.free} free")
        for _ in range(count):
            page = self._free.pop() if self._free else self._least_recently_used()
            self._holders[page] = 1
            sequence.pages.append(page)

    def publish(self, sequence: Sequence) -> None:
        """Makes the pages findable that a sequence has filled."""
        prefix = sequence.prefix or self._tree.root
        for tokens in _full_pages(sequence.tokens, prefix.depth, sequence.cached // PAGE_TOKENS):
            prefix = self._tree.enter(prefix, tokens, sequence.pages[prefix.depth])
        sequence.prefix = prefix

    def trim(self, sequence: Sequence) -> None:
        """Takes back what a sequence has not written to."""
        written = pages_for(sequence.cached)
        self._give_back(sequence.pages[written:])
        del sequence.pages[written:]

    def take_back(self, sequence: Sequence) -> None:
        """Takes back all that a sequence holds; what can be found stays so for now."""
        self._give_back(sequence.pages)
        sequence.pages, sequence.cached, sequence.prefix = [], 0, None

    def discard(self, sequence: Sequence) -> list[int]:
        """Takes back all that a sequence holds; nobody finds it any more. Gives the pages that nobody holds now."""
        pages = sequence.pages
        for page in pages:
            self._tree.forget(page)
        self.take_back(sequence)
        return [page for page in pages if not self._holders[page]]

    def held_only_by(self, sequences: Iterable[Sequence]) -> int:
        """Pages that would be free if these sequences gave up theirs."""
        held = Counter(page for sequence in sequences for page in sequence.pages)
        return sum(self._holders[page] == count for page, count in held.items())

    def _give_back(self, pages: list[int]) -> None:
        """The last page first, as it is of no use without those before it and so is to be taken before them."""
        for page in reversed(pages):
            self._holders[page] -= 1
            if self._holders[page]:
                continue
            if page in self._tree and not self._tree.has_another(page):
                self._idle[page] = None
            else:
                self._tree.forget(page)
                self._free.append(page)

    def _least_recently_used(self) -> int:
        page, _ = self._idle.popitem(last=False)
        self._tree.forget(page)
        return page


def pages_for(tokens: int) -> int:
    """Pages that hold this many tokens."""
    return -(-tokens // PAGE_TOKENS)


def _full_pages(tokens: list[int], first: int, end: int) -> Iterator[tuple[int, ...]]:
    """The tokens of the pages from `first` up to `end`."""
    for page in range(first, end):
        yield tuple(tokens[page * PAGE_TOKENS : (page + 1) * PAGE_TOKENS])
