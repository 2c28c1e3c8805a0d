"""A user of its own for each interpreter, where the service may change users: a high number that nobody else has."""

import functools
import pwd
import random
import threading
from pathlib import Path

from tool_service.tools.python.privileges import can_change_user

HIGH = range(1_900_000_000, 2_000_000_000)  # beyond what systems, containers and directories of people hand out
FEW = 30_000  # where a user namespace ends lower: its last ones, short of `nobody` and systemd's
RESERVED = 5_000
LEAST = 1_000

_taken: set[int] = set()
_lock = threading.Lock()
_random = random.SystemRandom()


def take_user() -> int | None:
    """A user, and the group of the same number, until `release_user`; None where the service's own has to do."""
    numbers = _numbers()
    while numbers:
        number = _random.choice(numbers)
        with _lock:
            if number not in _taken and not _is_known(number):
                _taken.add(number)
                return number
    return None


def release_user(number: int | None) -> None:
    """Lets another interpreter have it."""
    with _lock:
        _taken.discard(number or 0)


def may_hand_out(number: int) -> bool:
    """Whether it is among those that interpreters get here."""
    return number in _numbers()


@functools.cache
def _numbers() -> range:
    if not can_change_user():
        return range(0)
    return numbers_within(Path("/proc/self/uid_map").read_text())


def numbers_within(uid_map: str) -> range:
    """Which users to hand out in a namespace; none if there are too few. See user_namespaces(7)."""
    spans = [(int(first), int(first) + int(count)) for first, _, count in map(str.split, uid_map.splitlines())]
    first, end = max(spans, key=lambda span: span[1] - span[0])
    if first <= HIGH.start and HIGH.stop <= end:
        return HIGH
    numbers = range(max(first, end - RESERVED - FEW), end - RESERVED)
    return numbers if len(numbers) >= LEAST and numbers.start >= LEAST else range(0)


def _is_known(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True
