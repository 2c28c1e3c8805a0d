"""Whose key a request shows."""

import hmac
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.guard.keys_file import Keys, KeysError, hashed, read
from protos.rpc.errors import Reason, ServiceError
from protos.rpc.watched import WatchedFiles

LOOK_SECONDS = 1.0  # how long a key that was revoked may still be taken
_SCHEME = "bearer"
_REMEDY = "send one that `conveyor keys new NAME` made, as `Authorization: Bearer KEY`"

log = structlog.get_logger()


class Callers:
    """The keys in the file `path`, which is read again when it changes. Raises KeysError where it is wrong at first.

    A file that has gone wrong since then leaves the last good keys in place, and the log says so. `clock` counts
    seconds; `on_refused` hears `missing` or `unknown` of each request that is refused.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        on_refused: Callable[[str], None] = lambda _cause: None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._on_refused = on_refused
        self._looked_at = clock()
        self._file = WatchedFiles((path,))
        self._keys: Keys = read(path)
        if not self._keys:
            log.warning("no keys", file=str(path))

    def name_of(self, authorization: str) -> str:
        """Whose key is in the value of an `Authorization` header or metadatum.

        Raises `ServiceError` UNAUTHENTICATED where there is none or a wrong one. Every key is compared in full, so how
        long that takes tells nothing.
        """
        scheme, _, key = authorization.strip(" \t").partition(" ")
        key = key.strip(" ")
        if scheme.lower() != _SCHEME or not key:
            self._on_refused("missing")
            raise ServiceError(Reason.UNAUTHENTICATED, f"An API key is needed: {_REMEDY}.")
        shown, found = hashed(key), ""
        for name, digest in self._latest().items():
            if hmac.compare_digest(shown, digest):
                found = name
        if not found:
            self._on_refused("unknown")
            raise ServiceError(Reason.UNAUTHENTICATED, f"This API key is not known, or no longer: {_REMEDY}.")
        return found

    def _latest(self) -> Keys:
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            if self._file.changed():
                self._read_again()
        return self._keys

    def _read_again(self) -> None:
        try:
            self._keys = read(self._path)
        except KeysError as error:
            log.error("keys kept", cause=str(error))
        else:
            log.info("keys read", file=str(self._path), count=len(self._keys))
