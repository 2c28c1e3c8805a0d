"""What `conveyor demo` asks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoPrompt:
    """One completion of the demo. `messages` are pairs of role and content."""

    name: str
    messages: tuple[tuple[str, str], ...]
    tools: tuple[str, ...]
    call_format: str
    choice: str = "auto"
    max_tokens: int = 192
    max_turns: int = 1


_PROGRAMMER = "You write short, complete Python programs. Import what you use."

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
)
