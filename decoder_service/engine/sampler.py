"""Chooses the next token of one sequence."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

GREEDY_BELOW = 1e-4  # a temperature that leaves one token, and whose quotients leave what a float can hold


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen; temperature 0 is greedy, top_p 1 and top_k 0 keep all tokens, no seed is a random one."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


class Mask(Protocol):
    """What may come next."""

    def allowed(self) -> npt.NDArray[np.bool_]:
        """For each token whether it may come next, `[vocabulary]`."""
        ...


class Sampler:
    """Sampling of one sequence, with its own random state over all turns."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed & 0x7FFF_FFFF_FFFF_FFFF)

    def choose(self, logits: torch.Tensor, mask: Mask | None) -> int:
        """The next token from its `[vocabulary]` logits."""
        if mask is not None:
            allowed = torch.from_numpy(mask.allowed())
            logits = logits[: len(allowed)].masked_fill(~allowed[: len(logits)], float("-inf"))
        if self._sampling.temperature < GREEDY_BELOW:
            return int(logits.argmax())
        return self._draw((logits - logits.max()) / self._sampling.temperature)

    def _draw(self, logits: torch.Tensor) -> int:
        if 0 < self._sampling.top_k < len(logits):
            threshold = logits.topk(self._sampling.top_k).values[-1]
            logits = logits.masked_fill(logits < threshold, float("-inf"))
        probabilities, tokens = logits.softmax(-1).sort(descending=True)
        if self._sampling.top_p < 1:
            before = probabilities.cumsum(-1) - probabilities
            probabilities = probabilities.masked_fill(before >= self._sampling.top_p, 0.0)
        return int(tokens[torch.multinomial(probabilities, 1, generator=self._random)])
