"""An ordinary function is a tool: it runs when its call is complete, and its types are the schema.

$ conveyor up --tools.modules examples/days_between.py
$ conveyor tools call days_between --arguments '{"first": "2026-03-01", "last": "2026-12-24"}'
298
"""

from datetime import date

from tool_service.interface import Reject, tool


@tool(timeout=5)
def days_between(first: date, last: date, only_weekdays: bool = False) -> int:
    """Count the days from one date to a later one.

    Args:
        first: The earlier date, such as 2026-03-01.
        last: The later date; it is not counted itself.
        only_weekdays: Leave out Saturdays and Sundays.
    """
    days = (last - first).days
    if days < 0:
        raise Reject(f"{last} is before {first}")
    if not only_weekdays:
        return days
    weeks, rest = divmod(days, 7)
    return weeks * 5 + sum((first.weekday() + day) % 7 < 5 for day in range(rest))
