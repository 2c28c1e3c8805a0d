"""A shop's database as an SQLite file."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

CUSTOMERS, ORDERS = 500, 5_000
_COUNTRIES = ("Austria", "Brazil", "Canada", "Denmark", "Estonia", "France", "Ghana", "Hungary")


def write_shop(path: Path) -> None:
    """Writes the same shop every time."""
    chance = random.Random(0)
    customers = [(number, chance.choice(_COUNTRIES)) for number in range(CUSTOMERS)]
    days = [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    orders = [
        (number, chance.randrange(CUSTOMERS), chance.randrange(100, 50_000), chance.choice(days))
        for number in range(ORDERS)
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, country TEXT)")
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, cents INTEGER, day TEXT)")
        connection.executemany("INSERT INTO customers VALUES (?, ?)", customers)
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", orders)
