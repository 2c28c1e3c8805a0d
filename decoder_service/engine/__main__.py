"""The engine's process, from inside: `python -m decoder_service.engine DESCRIPTOR`.

The descriptor is a connected socket, over which the settings come. The answer is `Hello`, or the error that says why
there is no engine; then the engine works until the service closes the connection.
"""

import os
import signal
import socket
import sys

from decoder_service.engine.connection import frame, receive
from decoder_service.models.errors import ModelError
from decoder_service.settings import DecoderSettings
from protos.rpc.telemetry import configure_logs


def main() -> int:
    """Runs the engine; gives the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the whole group may get them; the service says when we are to end
        signal.signal(number, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    try:
        settings: DecoderSettings = receive(connection)
    except (EOFError, OSError):
        return 1  # nobody is there any more
    configure_logs("decoder", settings.log_level)
    try:
        return _serve(connection, settings)
    except (BrokenPipeError, ConnectionResetError):
        return 1


def _serve(connection: socket.socket, settings: DecoderSettings) -> int:
    from decoder_service.engine.building import load_engine  # seconds of torch; what is above must be done at once
    from decoder_service.engine.worker import work

    try:
        engine, compiler, hello = load_engine(settings)
    except (OSError, ModelError) as error:
        connection.sendall(frame(error if isinstance(error, ModelError) else OSError(str(error))))
        return 1
    connection.sendall(frame(hello))
    return 0 if work(connection, engine, compiler) else 1


if __name__ == "__main__":
    os._exit(main())  # without waiting for a grammar that is still being compiled
