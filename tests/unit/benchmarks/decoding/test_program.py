import pytest

from benchmarks.decoding.program import Recorder


def test_steps_count_from_when_every_sequence_has_begun():
    recorder = Recorder(batch=2, tokens=3)
    recorder.step({})
    recorder.step({0: 1})
    recorder.step({0: 1, 1: 1})
    assert not recorder.done
    recorder.step({0: 1, 1: 1})
    recorder.step({0: 1, 1: 1})
    assert recorder.done
    answer = recorder.answer()
    assert answer["tokens"] == [2, 2]
    assert len(answer["steps"]) == 2


def test_steps_without_tokens_take_their_time_all_the_same():
    recorder = Recorder(batch=1, tokens=2)
    recorder.step({0: 1})
    recorder.step({})
    recorder.step({0: 1})
    assert recorder.answer()["tokens"] == [0, 1]


def test_several_tokens_in_a_step_are_counted_as_such():
    recorder = Recorder(batch=1, tokens=5)
    recorder.step({0: 1})
    recorder.step({0: 4})
    assert recorder.done and recorder.answer()["tokens"] == [4]


def test_one_token_is_the_prompt_alone():
    recorder = Recorder(batch=1, tokens=1)
    assert not recorder.done
    recorder.step({0: 1})
    assert recorder.done and recorder.answer()["steps"] == []


def test_a_decoder_that_ends_too_early_gives_no_answer():
    recorder = Recorder(batch=2, tokens=3)
    recorder.step({0: 1, 1: 1})
    with pytest.raises(RuntimeError, match="0 of 4 tokens"):
        recorder.answer()
