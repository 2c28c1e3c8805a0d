"""Shared by all tests."""

import pytest

from decoder_service.models.loader import LoadedModel, load
from decoder_service.models.store import DEFAULT


@pytest.fixture(scope="session")
def model() -> LoadedModel:
    """The default model in float32, converted first where that has not been done yet."""
    return load(DEFAULT, "float32")
