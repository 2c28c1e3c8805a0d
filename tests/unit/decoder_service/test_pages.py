"""Pages that are found by their tokens, shared and given up."""

import pytest

from decoder_service.engine.pages import PAGE_TOKENS, PageBudget, pages_for
from decoder_service.engine.sequence import Sequence

A, B, C = ([letter] * PAGE_TOKENS for letter in (1, 2, 3))


def computed(budget: PageBudget, *parts: list[int]) -> Sequence:
    """A sequence of these tokens, as it stands once all but its last token have been run."""
    tokens = [token for part in parts for token in part]
    sequence = Sequence(1, tokens, len(tokens) + 1)
    budget.reuse(sequence)
    budget.take(sequence, pages_for(len(tokens)) - len(sequence.pages))
    sequence.cached = len(tokens) - 1
    budget.publish(sequence)
    return sequence


def found(budget: PageBudget, *parts: list[int]) -> list[int]:
    """The pages that a sequence of these tokens would begin with. It holds them no longer."""
    sequence = Sequence(2, [token for part in parts for token in part], 1000)
    budget.reuse(sequence)
    pages = sequence.pages
    assert sequence.cached == len(pages) * PAGE_TOKENS
    budget.take_back(sequence)
    return pages


def test_full_pages_are_shared_as_far_as_the_tokens_are_the_same() -> None:
    budget = PageBudget(10)
    first = computed(budget, A, B, [9])
    second = computed(budget, A, B, [8])
    third = computed(budget, A, C, [8])
    assert second.pages[:2] == first.pages[:2] and second.pages[2] != first.pages[2]
    assert third.pages[:1] == first.pages[:1] and third.pages[1] != first.pages[1]
    assert [budget.holders(page) for page in first.pages] == [3, 2, 1]
    assert budget.free == 10 - 3 - 1 - 2


def test_the_same_page_after_another_beginning_is_another_page() -> None:
    budget = PageBudget(10)
    computed(budget, A, B, [9])
    assert found(budget, C, B, [9]) == []
    assert found(budget, B, [9]) == []


def test_tokens_with_one_hash_are_told_apart() -> None:
    class Colliding(int):
        def __hash__(self) -> int:
            return 7

    budget = PageBudget(10)
    left, right = ([Colliding(number)] * PAGE_TOKENS for number in (1, 2))
    assert hash(tuple(left)) == hash(tuple(right))
    computed(budget, left, B, [9])
    assert found(budget, right, B, [9]) == []
    assert len(found(budget, left, B, [9])) == 2


def test_one_token_stays_to_be_run() -> None:
    budget = PageBudget(10)
    first = computed(budget, A, B, [9])
    assert found(budget, A, B) == first.pages[:1]


def test_pages_that_nobody_holds_are_found_until_they_are_needed_the_last_of_a_prompt_first() -> None:
    budget = PageBudget(4)
    old, new = computed(budget, A, B, [9]), computed(budget, C)
    pages = old.pages
    for sequence in (old, new):
        budget.take_back(sequence)
    assert budget.free == 4
    assert found(budget, A, B, [9]) == pages[:2]
    taker = Sequence(3, [0] * 99, 100)
    budget.take(taker, 3)  # the two that hold nothing, and one more
    assert found(budget, A, B, [9]) == pages[:1]


def test_the_least_recently_used_goes_first() -> None:
    budget = PageBudget(3)
    pages = {}
    for part in (A, B):
        sequence = computed(budget, part, [9])
        pages[part[0]] = sequence.pages[0]
        budget.take_back(sequence)
    assert found(budget, A, [9]) == [pages[1]]  # used once more, now the latest
    taker = Sequence(3, [0], 2)
    budget.take(taker, 2)
    assert taker.pages[1] == pages[2]
    assert found(budget, A, [9]) == [pages[1]]


def test_two_that_computed_the_same_at_once_leave_one_page_behind() -> None:
    budget = PageBudget(4)
    twins = [Sequence(id_, [*A, 9], 18) for id_ in range(2)]
    for twin in twins:
        budget.reuse(twin)
        budget.take(twin, 2)
    for twin in twins:
        twin.cached = PAGE_TOKENS
        budget.publish(twin)
    kept = twins[1].pages[0]
    budget.take_back(twins[0])
    assert found(budget, A, [9]) == [kept]
    budget.take_back(twins[1])
    assert found(budget, A, [9]) == [kept]
    budget.take(Sequence(3, [0], 2), 3)
    assert found(budget, A, [9]) == [kept]


def test_what_is_discarded_is_not_found_and_what_others_hold_stays_theirs() -> None:
    budget = PageBudget(10)
    broken, neighbour = computed(budget, A, B, [9]), computed(budget, A, C, [9])
    own = broken.pages[1:]
    assert budget.discard(broken) == own
    assert found(budget, A, B, [9]) == [] and found(budget, A, C, [9]) == []
    assert [budget.holders(page) for page in neighbour.pages] == [1, 1, 1]


def test_what_follows_a_discarded_page_takes_nothing_along_when_it_goes() -> None:
    budget = PageBudget(10)
    broken, neighbour = computed(budget, A, [9]), computed(budget, A, [8])
    budget.discard(broken)
    again = computed(budget, A, [7])
    neighbour.tokens += [8] * PAGE_TOKENS
    neighbour.cached += PAGE_TOKENS
    budget.publish(neighbour)
    budget.take_back(neighbour)
    budget.take(Sequence(3, [0], 2), budget.free)
    assert found(budget, A, [9]) == again.pages[:1]


def test_unwritten_pages_are_trimmed() -> None:
    budget = PageBudget(10)
    sequence = computed(budget, A, [9, 9])
    budget.take(sequence, 5)
    budget.trim(sequence)
    assert len(sequence.pages) == 2
    assert budget.free == 8


def test_more_than_is_free_is_not_handed_out() -> None:
    with pytest.raises(ValueError, match="3 pages wanted, 2 free"):
        PageBudget(2).take(Sequence(1, [0], 2), 3)
