"""Asks the gateway over HTTP. Whatever goes wrong comes out as a `Failure`."""

import asyncio
import http.client
import json
from typing import Any

from gateway.cli.failure import Failure, Peer

TIMEOUT_SECONDS = 10.0
_START = "Start the services with `conveyor up`, wait until it says ready, or say where it listens with {option}."


async def get_json(peer: Peer, path: str) -> Any:
    """What is at `path`."""
    status, body = await asyncio.to_thread(_get, peer, path)
    try:
        data = json.loads(body)
        if status < 400:
            return data
        error = data["error"]
        message, code = str(error["message"]), str(error["code"])
    except (ValueError, KeyError, TypeError):
        cause = f"{peer.address} does not answer as the {peer.name}"
        raise Failure(cause, f"Is {peer.option} right? Another service or version listens there.") from None
    raise Failure(message, "`conveyor trace` lists the completions that there are.", reason=code, message=message)


def _get(peer: Peer, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(peer.address, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        cause = f"no {peer.name} answers at http://{peer.address}: {error}"
        raise Failure(cause, _START.format(option=peer.option)) from error
    finally:
        connection.close()
