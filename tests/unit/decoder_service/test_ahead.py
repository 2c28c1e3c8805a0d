"""What is told ahead of a turn's results, with the default model's own tokenizer: it is what follows, and takes work in
proportion to what is new."""

import itertools
import random
import string

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decoder_service.ahead import Ahead, Result
from decoder_service.models.loader import LoadedModel
from decoder_service.text import growing
from decoder_service.text.template import ChatTemplate, Message, ToolText

pytestmark = pytest.mark.timeout(180)  # the first test may have to convert the model
tame = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ASKED = [Message("user", "Hi")]
PARTS = [
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "'s",
    "'",
    "re",
    "12",
    "3456789",
    "word",
    " word",
    ".",
    "...",
    "=" * 20,
    "<",
    "|",
]
texts = st.lists(
    st.sampled_from([*PARTS, "<|im_end|>", "<|im_", "naïve", "👩‍👩‍👧", "日本語", "e\u0301"]) | st.text(max_size=5),
    max_size=60,
).map("".join)


@pytest.fixture(scope="module")
def template(model: LoadedModel) -> ChatTemplate:
    return ChatTemplate(model.text)


class Guess:
    """What a sequence is told to be likely, put together as the engine does."""

    def __init__(self, template: ChatTemplate, after: tuple[int, ...] = (), most: int = 10**6) -> None:
        self.ahead = Ahead(template, ASKED, after, most)
        self.results: list[Result] = []
        self.tokens: list[int] = []
        self.told = 0

    def learn(self) -> None:
        likely = self.ahead.learn(self.results)
        if likely is not None:
            start, tokens = likely
            assert start <= len(self.tokens)
            self.tokens[start:] = tokens
            self.told += 1


def pieces_of(text: str, luck: random.Random) -> list[str]:
    cuts = sorted(luck.sample(range(len(text) + 1), min(len(text), luck.randint(0, 12))))
    return [text[left:right] for left, right in itertools.pairwise([0, *cuts, len(text)])]


@given(st.lists(texts, min_size=1, max_size=3), st.integers(0, 2**32), st.booleans())
@example(["don", "'re x"], 0, True)
@tame
def test_what_is_told_is_how_the_continuation_begins(
    template: ChatTemplate, outputs: list[str], seed: int, ended: bool
) -> None:
    luck = random.Random(seed)
    after = (template._backend.token_to_id(template._named_tokens["eos_token"]),) if ended else (100,)
    final = [ToolText(f"tool{number}", output) for number, output in enumerate(outputs)]
    whole = template.continuation(ASKED, final, after)
    guess = Guess(template, after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("decoder_service.ahead.LEAST_TOKENS", 1)
        patch.setattr(growing, "KEPT", 8)
        patch.setattr(growing, "MOST_KEPT", 24)
        for text in final:
            guess.results.append(Result(text.name))
            for piece in pieces_of(text.text, luck):
                guess.results[-1].output.append(piece)
                guess.learn()
                assert whole[: len(guess.tokens)] == guess.tokens
            guess.results[-1].text = text.text
            guess.learn()
            assert whole[: len(guess.tokens)] == guess.tokens


def test_what_stands_before_a_result_is_told_before_it_is_there(template: ChatTemplate) -> None:
    guess = Guess(template)
    guess.learn()
    assert not guess.told
    guess.results.append(Result("python"))
    guess.learn()
    assert (
        template._backend.decode(guess.tokens, skip_special_tokens=False) == "<|im_end|>\n<|im_start|>user\nResult of"
    )


def test_of_long_output_all_but_the_last_words_is_told(template: ChatTemplate) -> None:
    guess = Guess(template)
    guess.results.append(Result("python"))
    for number in range(400):
        guess.results[0].output.append(f"line {number} of what it prints\n")
        guess.learn()
    whole = template.continuation(ASKED, [ToolText("python", "".join(guess.results[0].output))], ())
    assert whole[: len(guess.tokens)] == guess.tokens
    assert len(whole) - len(guess.tokens) < 30
    assert guess.told <= len(whole) / 16 + 2


def test_long_output_is_not_tokenised_again_and_again(template: ChatTemplate, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    settled = growing.GrowingTokens.settled

    def counting(self: growing.GrowingTokens) -> object:
        nonlocal seen
        seen += len(self.text)
        return settled(self)

    monkeypatch.setattr(growing.GrowingTokens, "settled", counting)
    guess = Guess(template)
    guess.results.append(Result("python"))
    luck = random.Random(0)
    for _ in range(1000):
        guess.results[0].output.append("".join(luck.choices(string.ascii_lowercase + " \n", k=100)))
        guess.learn()
    assert seen < 20 * 100_000


def test_a_call_that_fails_after_all_takes_back_what_it_had_put_out(template: ChatTemplate) -> None:
    guess = Guess(template)
    guess.results.append(Result("python", [f"{'words ' * 40}\n"]))
    guess.learn()
    guess.results[0].text = "Error (TIMEOUT): " + "stopped " * 30
    guess.results.append(Result("search"))
    guess.learn()
    final = [ToolText("python", guess.results[0].text), ToolText("search", "x")]
    whole = template.continuation(ASKED, final, ())
    assert whole[: len(guess.tokens)] == guess.tokens
    assert "Result of" in template._backend.decode(guess.tokens[-20:])


def test_results_are_told_up_to_the_first_that_is_missing(template: ChatTemplate) -> None:
    guess = Guess(template)
    guess.results = [Result("a"), Result("b", [], "beta " * 30)]
    guess.learn()
    assert "beta" not in template._backend.decode(guess.tokens)
    guess.results[0].text = "alpha " * 30
    guess.learn()
    assert template._backend.decode(guess.tokens).count("beta") >= 29


def test_results_that_a_template_writes_as_json_are_told_as_json(model: LoadedModel) -> None:
    json_template = ChatTemplate(model.text)
    json_template._template = (
        "{% for m in messages %}<|im_start|>{{ m.role }} {% if m.role == 'tool' %}{{ m.content | tojson }}"
        "{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}"
    )
    json_template._has_tool_role = True
    guess = Guess(json_template)
    guess.results = [Result("a", ['say "hé"\n' * 20])]
    guess.learn()
    whole = json_template.continuation(ASKED, [ToolText("a", 'say "hé"\n' * 20)], ())
    assert whole[: len(guess.tokens)] == guess.tokens
    assert len(whole) - len(guess.tokens) < 20


def test_no_more_is_told_than_the_context_has_room_for(template: ChatTemplate) -> None:
    guess = Guess(template, most=20)
    guess.results = [Result("a", ["words " * 40])]
    for _ in range(3):
        guess.learn()
        guess.results[0].output.append("words " * 40)
    assert guess.told == 1
