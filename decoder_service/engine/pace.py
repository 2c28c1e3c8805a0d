"""How many tokens of prompts a step takes beside the sequences that decode. Pure policy: times are handed in.

* Beside sequences that decode, as many as lengthen their step by `EXTRA` of what it takes without a prompt. What it
  takes is the median of the last such steps with about as many sequences; where none was seen for long, the next step
  runs without a prompt and tells. What a token adds is the median of the last steps that had some: the machine may have
  been busy with something else in one of them.
* With nobody decoding, as many as the machine runs in `CHUNK_SECONDS`, so that a newcomer or a cancel does not wait.

Both grow to two or three times as many at most from step to step. A step takes `LEAST_CHUNK` in any case, and as many
as fill `ROWS_AT_ONCE` with those that decode: with less, reading the weights so often costs everybody more than it
spares. Where a model runs prompts in a pass of their own, that pass is most of what they cost, and `least` is larger.
"""

from collections import deque
from statistics import median

EXTRA = 0.5
CHUNK_SECONDS = 0.08
FIRST_CHUNK = 64
LEAST_CHUNK = 4
ROWS_AT_ONCE = 12  # of a product with weights of few bits (forward/native/products.cpp)
MEDIAN_OF = 5
STEPS_TO_TRUST = 64
LEAST_SECONDS = 1e-6  # a clock may stand still
LEAST_ROWS, MOST_ROWS_EACH = 16, 2


class Pace:
    """Learns what steps take. `most`: tokens of prompts in one step, at most; `least`: at least."""

    def __init__(self, most: int, least: int = LEAST_CHUNK) -> None:
        self._most = most
        self._least = min(least, most)
        self._alone = min(FIRST_CHUNK, most)
        self._token_seconds: deque[float] = deque(maxlen=MEDIAN_OF)
        self._decode_seconds: dict[int, deque[float]] = {}
        self._trusted: dict[int, int] = {}  # for how many more steps

    def chunk(self, decoding: int) -> int:
        """Tokens of prompts that the next step takes beside `decoding` sequences; 0 where it is to tell what they take.

        Never 0 twice in a row for the same `decoding`.
        """
        if not decoding:
            return self._alone
        company = _about(decoding)
        trusted = self._trusted.get(company, 0)
        self._trusted[company] = trusted - 1 if trusted else STEPS_TO_TRUST
        if not trusted:
            return 0
        if company not in self._decode_seconds or not self._token_seconds:
            return self._least
        return self._clamp(max(ROWS_AT_ONCE - decoding, self._extra(company) / median(self._token_seconds)))

    def observe(self, decoding: int, prefilled: int, seconds: float) -> None:
        """Learns from a step that ran `decoding` sequences and `prefilled` tokens of prompts."""
        seconds = max(seconds, LEAST_SECONDS)
        if decoding and not prefilled:
            company = _about(decoding)
            self._decode_seconds.setdefault(company, deque(maxlen=MEDIAN_OF)).append(seconds)
            self._trusted[company] = STEPS_TO_TRUST
        elif prefilled and not decoding:
            self._observe_alone(prefilled, seconds)
        elif prefilled >= self._least and _about(decoding) in self._decode_seconds:
            self._observe_mixed(_about(decoding), prefilled, seconds)

    def _observe_alone(self, prefilled: int, seconds: float) -> None:
        if prefilled >= self._alone or seconds > CHUNK_SECONDS:
            in_time = prefilled * CHUNK_SECONDS / seconds
            self._alone = self._clamp(min(in_time, 2 * self._alone))

    def _observe_mixed(self, company: int, prefilled: int, seconds: float) -> None:
        extra, least = seconds - median(self._decode_seconds[company]), self._extra(company) / 3
        token = max(extra, least) / prefilled
        if extra >= least:
            self._token_seconds.append(token)
        elif not self._token_seconds or token < median(self._token_seconds):  # cheaper than was thought, at any rate
            self._token_seconds = deque([token], maxlen=MEDIAN_OF)

    def _extra(self, company: int) -> float:
        """Seconds that prompts may add to a step."""
        return EXTRA * median(self._decode_seconds[company])

    def _clamp(self, tokens: float) -> int:
        return int(max(self._least, min(self._most, tokens)))


def most_rows(decoding: int) -> int:
    """Tokens of `decoding` sequences that one step runs at most: more than one each where grammars force some or some
    are drafted, and so few that nobody waits for a step of twice the time, or of many."""
    return max(LEAST_ROWS, MOST_ROWS_EACH * decoding)


def _about(decoding: int) -> int:
    """The same for numbers of sequences that take about the same time: the number's first three binary digits."""
    shift = max(0, decoding.bit_length() - 3)
    return decoding >> shift << shift
