"""Shared by all tests."""

import os
import signal

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # as tool_service/__init__.py does, before anything imports gRPC

import pytest

from decoder_service.models.catalogue import DEFAULT
from decoder_service.models.loader import LoadedModel, load

# A run in the background of a shell comes with Ctrl-C ignored, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def model() -> LoadedModel:
    """The default model in float32, converted first where that has not been done yet."""
    return load(DEFAULT, "float32")
