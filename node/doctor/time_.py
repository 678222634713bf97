"""Clocks: is ours set by somebody, does it agree with the members', did it jump back."""

from typing import Final

from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene
from node.ledger import block as blocks

BACK_MS: Final = 10_000


def synchronised(scene: Scene) -> Said:
    found = scene.machine.synchronised()
    if found is None:
        return not_applicable("this system does not say")
    return ok("disciplined") if found else warning("nobody sets this clock")


def offset(scene: Scene) -> Said:
    if not scene.running:
        return not_applicable("the node is down: members' clocks are not known")
    here, others = scene.causes("clock-here"), scene.causes("clock-member")
    if here:
        return failure(str(here[0]["say"]))
    if others:
        return warning("; ".join(str(item["say"]) for item in others))
    return ok("as the members'")


def jump(scene: Scene) -> Said:
    """The newest block's time was this clock's or a member's: time does not go back."""
    if scene.store is None or (applied := scene.store.applied()) is None:
        return not_applicable("no block to compare with, or the node runs")
    row = scene.store.block(applied.height)
    if row is None:
        return not_applicable("the newest block has no row: see store")
    behind = blocks.decode_header(row.header).time_ms - scene.machine.now_ms()
    if behind > BACK_MS:
        return failure(f"the newest block is {behind // 1000} s ahead of this clock")
    return ok("later than the newest block")


CHECKS = (
    Check(
        "time.synchronised",
        "the clock is set by NTP",
        synchronised,
        "run chrony or systemd-timesyncd; `chronyc tracking` tells",
    ),
    Check("time.offset", "the clock is the members'", offset, "let it be set by NTP"),
    Check(
        "time.jump", "the clock did not go back", jump, "set the clock before the node starts"
    ),
)
