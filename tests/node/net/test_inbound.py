"""Who calls and is not yet greeted when the node stops is hung up on, by us."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable
from typing import Any, cast

import pytest

from node.net.inbound import Inbound, Penalties
from node.net.limits import NetLimits
from node.net.statistics import Statistics


async def test_a_connection_that_nobody_began_to_greet_ends_with_the_rest() -> None:
    begun: asyncio.Queue[Any] = asyncio.Queue()

    def spawn(work: Awaitable[None], _name: str) -> None:
        begun.put_nowait(work)

    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0)
    unused = cast(Any, None)
    limits, statistics = NetLimits(), Statistics()
    inbound = Inbound(
        listening,
        prove=unused,
        tls=cast(ssl.SSLContext, None),
        on_frame=unused,
        spawn=spawn,
        limits=limits,
        statistics=statistics,
        penalties=Penalties(limits, statistics),
        clock_ms=lambda: 0,
        on_proven=unused,
    )
    accepting = asyncio.create_task(inbound.accept())
    with socket.create_connection(("127.0.0.1", inbound.port)) as caller:
        (await begun.get()).close()  # a task that is cancelled before its first step
        accepting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await accepting
        inbound.close()
        assert caller.recv(1) == b"", "hung up on, not left to the garbage collector"
