"""What the load asks: a random mix of everything that leaves something behind if it is not tidied up."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc.errors import Reason

WORDS = ["river", "bridge", "letter", "boat", "seven", "copper", "window", "slowly", "under", "market", "quiet", "tea"]
MODES = [pb.MODE_SERIAL, pb.MODE_PARALLEL, pb.MODE_ON_SEAL, pb.MODE_PARTIAL]
SYSTEMS = [f"You are assistant number {number}. " + " ".join(WORDS * 6) for number in range(3)]
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "size": {"type": "integer", "minimum": 0, "maximum": 999}},
    "required": ["ok", "size"],
    "additionalProperties": False,
}
PLAN = ">>>\n$1 = calculator({0} * 7)\n$2 = calculator($1 + {0})\n<<<\n"
CODE = "```python\nx = {0}\nprint(x * x)\ntext = 'a' * 1000\nprint(len(text))\n```"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `cancel_after`: events after which the caller goes away; `seconds`: its deadline.

    `refusals`: reasons that are right answers too; `check` says whether the text of a whole answer is right.
    """

    kind: str
    request: pb.CompleteRequest
    cancel_after: int | None = None
    seconds: float = 120.0
    refusals: frozenset[Reason] = frozenset()
    check: Callable[[str], bool] = lambda text: True


def draw(random: Random) -> Ask:
    """The next one."""
    (kind,) = random.choices(list(KINDS), [weight for weight, _ in KINDS.values()])
    return KINDS[kind][1](random)


def whole_cache() -> Ask:
    """One that is admitted only when every page of the cache is free: its answer may be as long as the cache holds."""
    return Ask("whole cache", _asking("Count.", limits=pb.Limits(max_tokens=100_000)), cancel_after=3, seconds=60)


def _short(random: Random) -> Ask:
    return Ask("short", _asking(_text(random, 12), sampling=_sampling(random), limits=_tokens(random, 40)))


def _long(random: Random) -> Ask:
    return Ask("long", _asking(_text(random, random.randint(400, 1200)), limits=_tokens(random, 8)))


def _shared(random: Random) -> Ask:
    request = _asking(_text(random, 8), limits=_tokens(random, 24))
    request.messages.insert(0, pb.Message(role="system", content=random.choice(SYSTEMS)))
    return Ask("shared prefix", request)


def _tools(random: Random) -> Ask:
    form, tool, replay = random.choice([("code_block", "python", CODE), ("plan", "plan", PLAN)])
    request = _asking(
        "Compute.",
        tool_use=pb.ToolUse(format=form, tools=[tool], mode=random.choice(MODES)),
        replay=[replay.format(random.randrange(1000))],
        limits=pb.Limits(max_turns=2, max_tokens=100),
    )
    return Ask("tool turn", request)


def _constrained(random: Random) -> Ask:
    use = pb.ToolUse(format=random.choice(["json", "hermes"]), tools=["calculator"], choice="calculator")
    limits = pb.Limits(max_turns=random.choice([1, 2]), max_tokens=50)
    return Ask("constrained call", _asking("12*7?", tool_use=use, sampling=_sampling(random), limits=limits))


def _schema(random: Random) -> Ask:
    request = _asking("Is it?", response_json_schema=json.dumps(SCHEMA), sampling=_sampling(random))
    return Ask("JSON answer", request, check=_is_answer)


def _cancelled(random: Random) -> Ask:
    of = random.choice([_short, _long, _tools, _constrained])(random)
    return Ask("cancelled", of.request, cancel_after=random.randint(0, 12))


def _late(random: Random) -> Ask:
    request = _asking(_text(random, 200), limits=pb.Limits(max_tokens=500))
    return Ask("deadline", request, seconds=random.uniform(0.05, 2), refusals=frozenset({Reason.DEADLINE_EXCEEDED}))


def _too_long(random: Random) -> Ask:
    return Ask("too long", _asking(_text(random, 12_000)), refusals=frozenset({Reason.PROMPT_TOO_LONG}))


KINDS: dict[str, tuple[float, Callable[[Random], Ask]]] = {
    "short": (6, _short),
    "long": (2, _long),
    "shared prefix": (4, _shared),
    "tool turn": (4, _tools),
    "constrained call": (2, _constrained),
    "JSON answer": (2, _schema),
    "cancelled": (4, _cancelled),
    "deadline": (1, _late),
    "too long": (0.5, _too_long),
}


def _asking(text: str, **fields: object) -> pb.CompleteRequest:
    return pb.CompleteRequest(messages=[pb.Message(role="user", content=text)], **fields)  # type: ignore[arg-type]


def _text(random: Random, words: int) -> str:
    return " ".join(random.choices(WORDS, k=words))


def _tokens(random: Random, most: int) -> pb.Limits:
    return pb.Limits(max_tokens=random.randint(1, most))


def _sampling(random: Random) -> pb.Sampling:
    return pb.Sampling(
        temperature=random.choice([0, 0.7, 1.5]), top_p=random.choice([0, 0.9]), top_k=random.choice([0, 40])
    )


def _is_answer(text: str) -> bool:
    answer = json.loads(text)
    return answer.keys() == {"ok", "size"} and type(answer["ok"]) is bool and 0 <= answer["size"] <= 999
