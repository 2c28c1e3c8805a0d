"""A model and a tokenizer of 300 tokens: what is in its cache is checked."""

import random
from collections.abc import Sequence as Several

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from decoder_service.engine.pace import LEAST_CHUNK
from decoder_service.engine.pages import PAGE_TOKENS
from decoder_service.engine.sequence import Piece, Sequence
from decoder_service.text.grammar import Grammar

END = "<|end|>"
MERGES = ("na", "me", "name", "in", "th", "the", "an", '":', "12", "or", "re", "st", "ste", "step", "ab", "abc")


def small_tokenizer() -> Tokenizer:
    """Bytes, and a few longer tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*letters, *MERGES])}
    merges = [next((t[:n], t[n:]) for n in range(1, len(t)) if {t[:n], t[n:]} <= set(vocabulary)) for t in MERGES]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    return tokenizer


TOKENIZER = small_tokenizer()
WORDS = TOKENIZER.get_vocab_size()
END_TOKEN = TOKENIZER.token_to_id(END)
GRAMMARS = LLTokenizer(TOKENIZER.to_str(), eos_token=END_TOKEN)


def grammar_of(lark: str) -> Grammar:
    return Grammar(LLMatcher(GRAMMARS, LLMatcher.grammar_from_lark(lark)), GRAMMARS.vocab_size)


class SmallModel:
    """Repeats itself: mostly the last two tokens say what comes next.

    `broken`: of so many places one has logits that are no numbers; 0: none.
    """

    least_chunk = LEAST_CHUNK

    def __init__(self, seed: int, broken: int = 0) -> None:
        self._seed, self._broken = seed, broken
        self._slots: dict[tuple[int, int], int] = {}

    def run(self, pieces: Several[Piece]) -> torch.Tensor:
        rows = []
        for piece in pieces:
            sequence, tokens = piece.sequence, piece.sequence.tokens[: piece.sequence.cached] + piece.tokens
            for place in range(len(tokens)):
                if place < sequence.cached:
                    assert self._slots[slot_of(sequence, place)] == hash(tuple(tokens[: place + 1]))
                else:
                    self._slots[slot_of(sequence, place)] = hash(tuple(tokens[: place + 1]))
            rows += [self.logits(tokens[:end]) for end in range(len(tokens) - piece.rows + 1, len(tokens) + 1)]
            sequence.cached += piece.count
        return torch.from_numpy(np.stack(rows))

    def clear(self, pages: list[int]) -> None:
        pass

    def logits(self, tokens: list[int]) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
        all_of_it = random.Random(hash((self._seed, *tokens)))
        heard = tokens if all_of_it.random() < 0.1 else tokens[-2:]
        logits = np.random.default_rng(abs(hash((self._seed, *heard)))).normal(size=WORDS).astype(np.float32) * 2
        if self._broken and not all_of_it.randrange(self._broken):
            logits[all_of_it.randrange(WORDS)] = np.nan
        return logits


def slot_of(sequence: Sequence, place: int) -> tuple[int, int]:
    return sequence.pages[place // PAGE_TOKENS], place % PAGE_TOKENS
