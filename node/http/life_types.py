"""Answers about a node's own life: drain, disk, clock, certificates, versions.

Owns: these forms; ``types.py`` has all others.  Refuses: requests, which have no body here.
"""

from typing import Literal

from msgspec import Struct


class LifeStatus(Struct):
    """What a node's keepers look at: drain, disk, clock, certificates of the client port."""

    phase: Literal["serving", "draining", "drained"]
    disk_low: bool
    disk_free_bytes: int
    disk_reserve_bytes: int
    clock_others_ahead_ms: int | None
    clock_wrong: bool
    certificate_days_left: int | None


class DrainStatus(Struct):
    phase: Literal["serving", "draining", "drained"]
    left: int


class Certificate(Struct):
    name: str
    subject: str
    file: str
    not_after: str
    days_left: int


class Certificates(Struct):
    certificates: list[Certificate]


class MemberVersion(Struct):
    """``software`` is empty for members that speak version 1: it has no place for it."""

    member: str
    wire: int
    software: str


class Versions(Struct):
    software: str
    wire_low: int
    wire_high: int
    store: int
    members: list[MemberVersion]
