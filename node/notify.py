"""Telling the service manager: ready, stopping, alive, and in a line what this node does.

One datagram a message to the socket that ``NOTIFY_SOCKET`` names (sd_notify(3)); without the
variable nothing is sent and nothing fails.  Owns: the messages and the watchdog's interval.
Refuses: to say alive for anybody else: ``Life`` says it, when engine and disk moved.
"""

import os
import socket
import threading
from collections.abc import Mapping
from typing import Final

EXTEND_EVERY_S: Final = 5.0
EXTEND_BY_S: Final = 30.0
START_S_MAX: Final = 3600.0  # what takes longer than an hour at a start hangs
STATUS_CHARACTERS_MAX: Final = 200


class Notifier:
    """``environment`` as systemd sets it; a failed send is no reason to fail."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._path = "\0" + path[1:] if path.startswith("@") else path
        micros = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s: float | None = (
            int(micros) / 1e6 if micros.isdigit() and int(micros) and mine else None
        )
        self._status = ""
        self._ready = False
        self._begun = threading.Event()

    @property
    def active(self) -> bool:
        return bool(self._path)

    def send(self, *lines: str) -> bool:
        """Send ``lines`` as one datagram; return whether somebody took it."""
        if not self._path:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
                end.settimeout(0)
                end.sendto("\n".join(lines).encode(), self._path)
        except OSError:
            return False
        return True

    def ready(self) -> None:
        """Say once that the node serves."""
        if not self._ready:
            self._ready = True
            self.send("READY=1")

    def status(self, text: str) -> None:
        """Say what the node does, when it is something new."""
        if text != self._status:
            self._status = text
            self.send(f"STATUS={text[:STATUS_CHARACTERS_MAX]}")

    def alive(self) -> None:
        self.send("WATCHDOG=1")

    def stopping(self) -> None:
        self.send("STOPPING=1")

    def extend(self) -> None:
        """Ask for more time: for a start that goes on, or an end."""
        self.send(f"EXTEND_TIMEOUT_USEC={round(EXTEND_BY_S * 1e6)}")

    def begin(self) -> None:
        """Ask for more time until ``begun``, from a thread: opening blocks the loop."""
        if self._path:
            threading.Thread(target=self._extend_on, name="notify", daemon=True).start()

    def begun(self) -> None:
        self._begun.set()

    def _extend_on(self) -> None:
        left_s = START_S_MAX
        while left_s > 0 and not self._begun.is_set():
            self.extend()
            self._begun.wait(EXTEND_EVERY_S)
            left_s -= EXTEND_EVERY_S
