from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

from benchmarks.decoding.process import Answer, DecoderFailedError
from benchmarks.decoding.rounds import Prompts, PromptSource, Work, measure, turned

WORK = Work(batches=(1, 2), prompt=3, tokens=4, prefill=5)


class Scripted:
    """Notes what it is asked; fails at the question of the number `fails_at`."""

    def __init__(self, name: str, log: list[tuple[str, int, int, int]], fails_at: int | None = None) -> None:
        self._name, self._log, self._fails_at, self._asked = name, log, fails_at, 0
        self.prompts: list[Prompts] = []
        self.closed = False

    def load(self, seconds: float) -> dict[str, Any]:
        if self._fails_at == -1:
            raise DecoderFailedError(f"{self._name} has no weights")
        return {"weights": "none"}

    def decode(self, prompts: Prompts, tokens: int, seconds: float) -> Answer:
        if self._asked == self._fails_at:
            raise DecoderFailedError(f"{self._name} is gone")
        self._asked += 1
        self._log.append((self._name, len(prompts), len(prompts[0]), tokens))
        self.prompts.append(prompts)
        return Answer(0.5, (0.1,) * (tokens - 1), (len(prompts),) * (tokens - 1), 100 + self._asked)

    def close(self) -> None:
        self.closed = True


def source(seed: int = 0) -> PromptSource:
    tokenizer = Tokenizer(WordLevel({str(token): token for token in range(20)}, unk_token="0"))
    tokenizer.add_special_tokens([AddedToken("3", special=True), AddedToken("<end>", special=True)])
    return PromptSource(tokenizer, seed)


def run(rounds: int, *decoders: Scripted) -> dict[str, Any]:
    starts: dict[str, Callable[[], Scripted]] = {each._name: lambda each=each: each for each in decoders}
    return measure(starts, WORK, rounds, source(), lambda _: None)


def test_the_order_turns_from_round_to_round():
    assert [turned(["a", "b", "c"], number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert turned([], 3) == []


def test_each_batch_goes_through_all_decoders_in_the_order_of_the_round():
    log: list[tuple[str, int, int, int]] = []
    run(2, Scripted("a", log), Scripted("b", log))
    warm_up, rounds = log[:6], log[6:]
    assert [(size, tokens) for _, size, _, tokens in warm_up] == [(1, 8), (1, 8), (2, 8), (2, 8), (1, 1), (1, 1)]
    assert [name for name, *_ in rounds] == ["a", "b"] * 3 + ["b", "a"] * 3
    assert [task for _, *task in rounds[::2]] == [[1, 3, 4], [2, 3, 4], [1, 5, 1]] * 2


def test_all_decoders_get_the_same_prompts_and_no_prompt_comes_twice():
    a, b = Scripted("a", []), Scripted("b", [])
    run(3, a, b)
    assert a.prompts == b.prompts
    flat = [tuple(prompt) for prompts in a.prompts for prompt in prompts]
    assert len(set(flat)) > len(flat) * 0.9  # of twenty tokens, some short prompts may meet


def test_prompts_hold_no_special_token_and_depend_on_the_seed():
    drawn = source().draw(10, 50)
    assert {token for prompt in drawn for token in prompt} == set(range(20)) - {3}
    assert drawn == source().draw(10, 50) != source(1).draw(10, 50)


def test_the_warm_up_is_not_counted_and_every_round_is():
    samples = run(3, Scripted("a", []))["a"]
    assert {size: len(answers) for size, answers in samples.batches.items()} == {1: 3, 2: 3}
    assert samples.prefills == [0.5] * 3
    assert samples.peak_bytes == 100 + 3 * 4


@pytest.mark.parametrize(("fails_at", "said"), [(-1, "b has no weights"), (0, "b is gone"), (5, "b is gone")])
def test_a_decoder_that_fails_is_left_out_and_the_others_go_on(fails_at, said):
    a, b, c = Scripted("a", []), Scripted("b", [], fails_at), Scripted("c", [])
    samples = run(2, a, b, c)
    assert samples["b"].failure == said
    assert all(len(samples[name].batches[2]) == 2 and samples[name].failure is None for name in ("a", "c"))
    assert a.closed and b.closed and c.closed


def test_what_a_failed_decoder_had_answered_is_kept():
    samples = run(2, Scripted("a", [], fails_at=5))["a"]
    assert {size: len(answers) for size, answers in samples.batches.items()} == {1: 1, 2: 1}


def test_decoders_are_ended_when_the_benchmark_is_interrupted():
    class Interrupted(Scripted):
        def decode(self, prompts: Prompts, tokens: int, seconds: float) -> Answer:
            raise KeyboardInterrupt

    decoder = Interrupted("a", [])
    with pytest.raises(KeyboardInterrupt):
        run(1, decoder)
    assert decoder.closed
