"""The command line `conveyor`: one file per command, each with `--json` for programs."""

import os

_VERBOSITY = "GRPC_VERBOSITY"


def main() -> None:
    """Runs the command line; the entry point `conveyor`."""
    given = os.environ.get(_VERBOSITY)
    os.environ.setdefault(_VERBOSITY, "NONE")  # read when gRPC is imported, which would else log between our lines
    from gateway.cli.app import app
    from gateway.cli.run import written_out

    if given is None:
        del os.environ[_VERBOSITY]  # the services' logs are their own affair
    with written_out():
        app(prog_name="conveyor")
