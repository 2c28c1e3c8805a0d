"""Readiness is earned: the gateway is ready when its peers' health says SERVING.

A channel opened by `protos.rpc.channel` watches `grpc.health.v1` of each of its peers and is READY while at least one
of them serves, so the channel's state is the answer, and a change of it comes unasked. The decoder is needed always,
the tool service once: after that its tools are known, and a completion without tools works while it is away.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import grpc
import structlog

log = structlog.get_logger()


class Readiness:
    """Follows the peers behind `channels`, by name. `tell` hears every change of `ready`.

    A name in `needed_once` counts as there once it has been.
    """

    def __init__(
        self,
        channels: Mapping[str, grpc.aio.Channel],
        tell: Callable[[bool], Awaitable[None]],
        needed_once: frozenset[str] = frozenset(),
    ) -> None:
        self._channels = channels
        self._tell = tell
        self._needed_once = needed_once
        self._unmet = set(channels)
        self._serving: dict[str, bool] = dict.fromkeys(channels, False)
        self.draining = False

    @property
    def missing(self) -> list[str]:
        """Names of the peers that do not serve now."""
        return [name for name, serving in self._serving.items() if not serving]

    @property
    def ready(self) -> bool:
        """Whether completions are welcome."""
        return not self._unmet and not self.draining

    async def run(self) -> None:
        """Follows the peers until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, channel in self._channels.items():
                group.create_task(self._follow(name, channel))

    async def _follow(self, name: str, channel: grpc.aio.Channel) -> None:
        while True:
            state = channel.get_state(try_to_connect=True)
            await self._note(name, state is grpc.ChannelConnectivity.READY)
            await channel.wait_for_state_change(state)

    async def _note(self, name: str, serving: bool) -> None:
        if self._serving[name] == serving:
            return
        was_ready = self.ready
        self._serving[name] = serving
        log.info("peer_serving" if serving else "peer_away", peer=name)
        if serving:
            self._unmet.discard(name)
        elif name not in self._needed_once:
            self._unmet.add(name)
        if self.ready != was_ready:
            await self._tell(self.ready)
