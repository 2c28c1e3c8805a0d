"""What `conveyor demo` asks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoPrompt:
    """One completion of the demo. `messages` are pairs of role and content; `given` is what the model is to say in each
    turn, where it does not write freely."""

    name: str
    messages: tuple[tuple[str, str], ...]
    tools: tuple[str, ...]
    call_format: str
    choice: str = "auto"
    max_tokens: int = 192
    max_turns: int = 1
    given: tuple[str, ...] = ()


_PROGRAMMER = "You write short, complete Python programs. Import what you use."
# What a larger model may write: its first statements have much to do while the rest is still to come.
_WORK = """```python
import numpy as np
marks = np.ones(50_000_000, dtype=bool)
marks[:2] = False
for i in range(2, 7072):
    if marks[i]:
        marks[i * i :: i] = False
print("primes below 50 million:", marks.sum())
walks = np.random.default_rng(7).normal(size=(2000, 8000)).cumsum(axis=1)
print("furthest walk:", abs(walks).max().round(1))
matrix = np.random.default_rng(1).normal(size=(600, 600))
print("largest singular value:", np.linalg.svd(matrix, compute_uv=False)[0].round(2))
print("mean of the walks:", walks.mean().round(3))
```
"""

PROMPTS = (
    DemoPrompt(
        name="code",
        messages=(
            ("system", _PROGRAMMER),
            (
                "user",
                # The paper's request, in as many words as a model of 135 million parameters needs.
                "Plot a sine wave with matplotlib: import numpy as np, import matplotlib.pyplot as plt, "
                "x = np.linspace(0, 10, 500), y = np.sin(x). Then save it with plt.savefig('sine.png').",
            ),
        ),
        tools=("python",),
        call_format="code_block",
    ),
    DemoPrompt(
        name="call",
        messages=(("user", "What is 12*7?"),),
        tools=("calculator",),
        call_format="json",
        choice="calculator",
        max_tokens=64,
    ),
    DemoPrompt(
        name="two turns",
        messages=(("system", _PROGRAMMER), ("user", "Print the factorial of 20. Use math.factorial.")),
        tools=("python",),
        call_format="code_block",
        max_turns=2,
    ),
    DemoPrompt(
        name="work to hide",
        messages=(
            ("system", _PROGRAMMER),
            ("user", "Count primes, walk at random, and find the largest singular value of a random matrix."),
        ),
        tools=("python",),
        call_format="code_block",
        max_tokens=512,
        max_turns=2,
        given=(
            _WORK,
            "There are 3001134 primes below 50 million. The walks and the matrix are random, and are told above.",
        ),
    ),
)
