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


PROMPTS = (
    DemoPrompt(
        name="code",
        messages=(
            ("system", "You write short Python programs. Answer with one ```python block and nothing else."),
            ("user", "Plot a sine wave with matplotlib."),
        ),
        tools=("python",),
        call_format="code_block",
    ),
    DemoPrompt(
        name="call",
        messages=(
            ("system", "You answer with a tool call."),
            ("user", "What is 1234 * 5678?"),
        ),
        tools=("calculator",),
        call_format="json",
        choice="calculator",
        max_tokens=64,
    ),
    DemoPrompt(
        name="two turns",
        messages=(
            (
                "system",
                "You write short Python programs that print their result. Answer with one ```python block, "
                "then say what it printed.",
            ),
            ("user", "Compute the sum of the squares of the numbers from 1 to 100."),
        ),
        tools=("python",),
        call_format="code_block",
        max_turns=2,
    ),
)
