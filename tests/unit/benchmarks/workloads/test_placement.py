import os

import pytest

from benchmarks.workloads.placement import apart, shared
from gateway.cli.processes import Service

SERVICE = Service("decoder", ("python", "-m", "decoder_service"), "127.0.0.1:1")


def test_decoder_and_tools_have_cores_of_their_own():
    place = apart(frozenset({0, 1, 2, 5}))
    assert (place.decoder, place.others, place.threads) == ({0, 1}, {2, 5}, 2)
    assert not place.is_shared
    command = place.pinned(SERVICE).command
    assert command[1:3] == ("--cpu-list", "0,1") and command[3:] == SERVICE.command
    assert os.access(command[0], os.X_OK)


def test_one_core_cannot_be_divided():
    with pytest.raises(ValueError, match="--shared"):
        apart(frozenset({3}))
    assert shared(frozenset({3})).is_shared
