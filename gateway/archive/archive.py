"""What runs and what has ended, by caller and id."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from gateway.archive.recording import Budget, Recording, Summary
from gateway.archive.store import Kept, Store
from gateway.outcome import error_of
from protos.conveyor.gateway.v1 import gateway_pb2 as pb
from protos.rpc import context

MAX_BYTES = 256 << 20  # of all that run
MAX_WRITES = 64  # that wait for the disk at a time; further ones are not kept

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """A completion: `running` while its events are in memory, then `kept`."""

    running: Recording | None
    kept: Kept | None

    @property
    def summary(self) -> Summary:
        """As it stands."""
        return self.running.summary() if self.running is not None else self._kept.summary

    @property
    def request(self) -> pb.CompleteRequest:
        """What was asked for."""
        if self.running is not None:
            return self.running.request
        return pb.CompleteRequest.FromString(self._kept.request)

    @property
    def events(self) -> tuple[bytes, ...]:
        """What has happened so far."""
        return tuple(self.running.events) if self.running is not None else self._kept.events

    @property
    def _kept(self) -> Kept:
        assert self.kept is not None  # one of the two is there
        return self.kept


class Archive:
    """The completions of one gateway. `most` of those that have ended are kept, in the file at `path`; see `Store`.

    A client that tries again while its first try still runs has two completions of one id: the newer one is found.
    """

    def __init__(self, path: str, most: int) -> None:
        self._store = Store(path, most) if most else None
        self._running: dict[tuple[str, str], Recording] = {}
        self._budget = Budget(MAX_BYTES)
        self._writing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Raises OSError where the file cannot be used."""
        if self._store is not None:
            await self._store.open()

    async def close(self) -> None:
        """When what has ended is kept."""
        await asyncio.gather(*self._writing)
        if self._store is not None:
            await self._store.close()

    @contextmanager
    def recording(self, request: pb.CompleteRequest) -> Iterator[Recording]:
        """Records the running request's completion until the block ends, and keeps it then."""
        running = context.current()
        recording = Recording(running.request_id, running.caller, time.time(), request, self._budget)
        self._running[recording.caller, recording.id] = recording
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
        """The newest ones that `caller` asked for, newest first."""
        running = [each.summary() for each in self._running.values() if each.caller == caller]
        ids = {summary.id for summary in running}
        kept = await self._store.recent(caller, most) if self._store is not None else []
        every = [*running, *(summary for summary in kept if summary.id not in ids)]
        return sorted(every, key=lambda summary: summary.begun_at, reverse=True)[:most]

    async def find(self, caller: str, request_id: str) -> Found | None:
        """One of the caller's."""
        running = self._running.get((caller, request_id))
        if running is not None:
            return Found(running, None)
        kept = await self._store.find(caller, request_id) if self._store is not None else None
        return None if kept is None else Found(None, kept)

    async def forget(self, caller: str, request_id: str) -> bool:
        """Cancels it where it runs, and keeps nothing of it. Whether there was one."""
        running = self._running.pop((caller, request_id), None)
        if running is not None:
            running.forgotten = True
            running.cancel()
        kept = await self._store.forget(caller, request_id) if self._store is not None else False
        return kept or running is not None

    def _keep(self, recording: Recording) -> None:
        """Until it is kept, it is still found among those that run."""
        if self._store is None or recording.forgotten or len(self._writing) >= MAX_WRITES:
            self._drop(recording)
            return
        task = asyncio.create_task(self._write(self._store, recording))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, store: Store, recording: Recording) -> None:
        request = recording.request.SerializeToString()
        try:
            await store.put(Kept(recording.caller, recording.summary(), request, tuple(recording.events)))
            if recording.forgotten:
                await store.forget(recording.caller, recording.id)
        except OSError as error:
            log.error("completion not kept", request_id=recording.id, cause=str(error))
        finally:
            self._drop(recording)

    def _drop(self, recording: Recording) -> None:
        recording.release()
        if self._running.get((recording.caller, recording.id)) is recording:
            del self._running[recording.caller, recording.id]
