"""How a process ended, in words."""

import signal


def how_it_ended(status: int) -> str:
    """An exit status, negative for a signal, as the end of a sentence about the process."""
    return f"ended with status {status}" if status >= 0 else f"was ended by {signal_name(-status)}"


def signal_name(number: int) -> str:
    """A signal's name; its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
