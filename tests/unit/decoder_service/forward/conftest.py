"""Products and attention in several threads, as they run in a service; how many the other tests have is left to the
number of pytest's workers."""

from collections.abc import Iterator

import pytest
import torch

THREADS = 2


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(THREADS, before))
    yield
    torch.set_num_threads(before)
