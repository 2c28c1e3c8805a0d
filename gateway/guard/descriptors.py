"""How many connections this process can hold: each needs a descriptor."""

import resource

import structlog

RESERVE = 128  # for what is no connection of a client: listeners, peers, files, what Python and gRPC need
_PORTS = 2  # each of which takes so many connections

log = structlog.get_logger()


def connections_within(wanted: int) -> int:
    """`wanted` connections on each port, or as many as there is room for; the log says so. Raises the process's limit
    as far as it may first: it is low by default for the sake of `select`, which nothing here uses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    elif hard == resource.RLIM_INFINITY:
        return wanted
    room = max(1, (hard - RESERVE) // _PORTS)
    if room < wanted:
        remedy = f"set gateway.max_connections to {room}, or allow more open files (ulimit -n)"
        log.warning("fewer connections", wanted=wanted, taken=room, open_files=hard, remedy=remedy)
    return min(wanted, room)
