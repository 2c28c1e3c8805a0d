"""Shared by all tests."""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # as tool_service/__init__.py does, before anything imports gRPC

import pytest

from decoder_service.models.loader import LoadedModel, load
from decoder_service.models.store import DEFAULT


@pytest.fixture(scope="session")
def model() -> LoadedModel:
    """The default model in float32, converted first where that has not been done yet."""
    return load(DEFAULT, "float32")
