"""Frames between an interpreter and the service."""

import pytest

from tool_service.tools.python import frames


def test_frames_come_whole_from_any_pieces_and_no_longer_than_agreed():
    data = frames.encode(frames.DONE, "é")
    for cut in range(len(data)):
        reader = frames.FrameReader(100)
        assert reader.feed(data[:cut]) == []
        assert reader.feed(data[cut:]) == [(frames.DONE, "é".encode())]
    with pytest.raises(frames.FrameTooLong):
        frames.FrameReader(100).feed(b"\xff\xff\xff\xff\xff")
    with pytest.raises(frames.FrameTooLong):
        frames.FrameReader(100).feed(frames.encode(frames.FIGURE, bytes(frames.MAX_FIGURE_BYTES + 1)))
    assert frames.FrameReader(100).feed(frames.encode(frames.FIGURE, bytes(1000))) == [(frames.FIGURE, bytes(1000))]
