"""What runs and what has ended, by caller and id."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from gateway.archive.recording import Budget, Recording
from gateway.archive.store import Kept, Store
from gateway.archive.summary import Summary
from gateway.outcome import error_of
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc import context

MAX_BYTES = 256 << 20  # of all that run, or wait to be written
WRITTEN_AT_ONCE = 64

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """A completion: while its events are in memory, and when it is kept."""

    source: Recording | Kept

    @property
    def running(self) -> Recording | None:
        """Where its events are in memory."""
        return self.source if isinstance(self.source, Recording) else None

    @property
    def summary(self) -> Summary:
        """As it stands."""
        return self.source.summary() if isinstance(self.source, Recording) else self.source.summary

    @property
    def request(self) -> pb.CompleteRequest:
        """What was asked for."""
        return self.source.request

    @property
    def events(self) -> tuple[bytes, ...]:
        """What has happened so far."""
        return tuple(self.source.events)


class Archive:
    """The completions of one gateway. `most` of each caller's that have ended are kept, in the file at `path`.

    A client that tries again while its first try still runs has two completions of one id. The newer one is found, and
    kept; both are cancelled and forgotten together. What has ended is still found among those that run until a task has
    written it, which takes all that wait at once.
    """

    def __init__(self, path: str, most: int) -> None:
        self._store = Store(path, most) if most else None
        self._recordings: dict[tuple[str, str], list[Recording]] = {}  # not gone, the oldest first
        self._budget = Budget(MAX_BYTES)
        self._ended: deque[Recording] = deque()  # to be written
        self._work = asyncio.Event()
        self._closing = False
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises OSError where the file cannot be used."""
        if self._store is not None:
            await self._store.open()
            self._writer = asyncio.create_task(self._write(self._store))

    async def close(self, seconds: float) -> None:
        """When what has ended is kept, or after `seconds`."""
        self._closing = True
        self._work.set()
        if self._writer is not None:
            await asyncio.wait((self._writer,), timeout=seconds)
            self._writer.cancel()
            await asyncio.wait((self._writer,))
        while self._ended:
            self._drop(self._ended.popleft(), "the gateway has stopped")
        if self._store is not None:
            await self._store.close()

    @contextmanager
    def recording(self, request: pb.CompleteRequest) -> Iterator[Recording]:
        """Records the running request's completion until the block ends, and keeps it then."""
        running = context.current()
        recording = Recording(running.request_id, running.caller, time.time(), request, self._budget)
        same = self._recordings.setdefault((recording.caller, recording.id), [])
        for older in same:
            older.wanted = False
        same.append(recording)
        try:
            yield recording
        except BaseException as error:
            recording.end(error_of(error))
            raise
        else:
            recording.end(None)
        finally:
            self._keep(recording)

    async def recent(self, caller: str, most: int) -> list[Summary]:
        """The newest ones that `caller` asked for, newest first. Raises StoreError."""
        newest = [
            (same[-1].wanted, same[-1].summary()) for (whose, _), same in self._recordings.items() if whose == caller
        ]
        kept = await self._store.recent(caller, most) if self._store is not None else []
        found = {summary.id: summary for summary in kept}
        found |= {summary.id: summary for wanted, summary in newest if wanted or summary.id not in found}
        return sorted(found.values(), key=lambda summary: summary.begun_at, reverse=True)[:most]

    async def find(self, caller: str, request_id: str) -> Found | None:
        """One of the caller's. Raises StoreError."""
        running = next(reversed(self._recordings.get((caller, request_id), ())), None)
        kept = None
        if self._store is not None and (running is None or not running.wanted):  # a newer one was kept before it
            kept = await self._store.find(caller, request_id)
        found = kept or running
        return None if found is None else Found(found)

    async def cancel(self, caller: str, request_id: str) -> None:
        """Stops the work behind all that run, and waits until they have ended, or for a second."""
        running = tuple(self._recordings.get((caller, request_id), ()))
        for recording in running:
            recording.cancel()
        await asyncio.gather(*(recording.until_ended() for recording in running))

    async def forget(self, caller: str, request_id: str) -> bool:
        """Cancels it where it runs, and keeps nothing of it. Whether there was one. Raises StoreError."""
        running = self._recordings.pop((caller, request_id), [])
        for recording in running:
            recording.wanted = False
            recording.cancel()
        # Behind what is being written: what of it was on its way to the store is gone then.
        kept = await self._store.forget(caller, request_id) if self._store is not None else False
        return kept or bool(running)

    def _keep(self, recording: Recording) -> None:
        if self._store is None or not recording.wanted:
            self._drop(recording)
        elif self._closing or (self._ended and not self._budget.allows(0)):
            self._drop(recording, "the gateway has stopped" if self._closing else "too many wait to be written")
        else:
            self._ended.append(recording)
            self._work.set()

    async def _write(self, store: Store) -> None:
        while self._ended or not self._closing:
            await self._work.wait()
            self._work.clear()
            while self._ended:
                await self._write_some(store)

    async def _write_some(self, store: Store) -> None:
        some = [self._ended.popleft() for _ in range(min(WRITTEN_AT_ONCE, len(self._ended)))]
        wanted = [recording for recording in some if recording.wanted]
        why = "the gateway has stopped"
        try:
            await store.put([Kept(one.caller, one.summary(), one.request, tuple(one.events)) for one in wanted])
            why = ""
        except Exception as error:  # whatever it is, the next ones are written
            why = str(error) or type(error).__name__
        finally:
            for recording in some:
                self._drop(recording, why if recording.wanted else "")

    def _drop(self, recording: Recording, why: str = "") -> None:
        """It is in the store, or not wanted there; or it is not there, and the log says why."""
        if why:
            log.error("completion not kept", request_id=recording.id, cause=why)
        recording.release()
        key = (recording.caller, recording.id)
        same = self._recordings.get(key, [])
        if recording in same:
            same.remove(recording)
            if not same:
                del self._recordings[key]
