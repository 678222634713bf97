"""After a start the store gets to know its keys, and need not look for what is not there.

Owns: pace, and that a node which stops does not wait for it.  Refuses: to matter.  Until it has
ended, and where damage ends it, answers are the same and take longer (``storage.known``).
"""

import asyncio
import logging
import threading
from typing import Final

from node import threads
from node.log import event
from storage.errors import StorageFailure
from storage.store import Store

REST_S: Final = 0.002  # after each thousand keys, which take 1 to 2 ms


class _Stopped(Exception):
    """The node stops."""


async def learn(store: Store) -> None:
    """Get to know the keys of ``store``, then wait until cancelled."""
    stop = threading.Event()

    def rest() -> None:
        if stop.wait(REST_S):
            raise _Stopped

    try:
        await threads.surely(store.learn, rest, stop=stop)
    except StorageFailure as damage:  # the scrub finds it too, and says where
        event("store.keys-unknown", level=logging.WARNING, reason=damage.code)
    await asyncio.Event().wait()
