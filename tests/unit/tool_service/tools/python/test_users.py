"""The users that interpreters run as."""

import pytest

from tool_service.tools.python import users


@pytest.mark.parametrize(
    ("uid_map", "numbers"),
    [
        ("         0          0 4294967295\n", users.HIGH),
        ("         0     100000      65536\n", range(30_536, 60_536)),
        ("      1000       1000          1\n", range(0)),
        ("0 1000 1\n1 100000 65536\n", range(30_537, 60_537)),
    ],
)
def test_users_are_high_numbers_of_the_namespace(uid_map, numbers):
    assert users.numbers_within(uid_map) == numbers


def test_no_user_is_handed_out_twice(monkeypatch):
    monkeypatch.setattr(users, "_numbers", lambda: range(1_900_000_000, 1_900_000_050))
    taken = [users.take_user() for _ in range(50)]
    assert len(set(taken)) == 50
    for user in taken:
        users.release_user(user)
    users.release_user(users.take_user())
    monkeypatch.setattr(users, "_numbers", lambda: range(0))
    assert users.take_user() is None
