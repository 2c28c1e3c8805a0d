"""Shared by all tests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # as tool_service/__init__.py does, before anything imports gRPC

import hypothesis
import pytest

if TYPE_CHECKING:  # seconds of torch, which the process that hands out the tests has no use for
    from decoder_service.models.loader import LoadedModel

# No example is wrong because the machine was busy.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")

# A run in the background of a shell comes with Ctrl-C ignored, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def share_of_the_processors() -> None:
    """Workers share the processors. With a thread of each on every one of them, each product would wait for a thread
    that the system has put aside for another worker's."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))


@pytest.fixture(scope="session")
def default_model() -> LoadedModel:
    """In float32, converted first where that has not been done yet."""
    from decoder_service.models.catalogue import DEFAULT
    from decoder_service.models.loader import load

    return load(DEFAULT, "float32")


@pytest.fixture(scope="session")
def model(default_model: LoadedModel) -> LoadedModel:
    """The default model, where a module takes no other."""
    return default_model
