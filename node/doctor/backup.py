"""Backups: how old the newest is, and whether it was read again."""

from node.doctor.finding import Check, Said, not_applicable
from node.doctor.scene import Scene


def age(_scene: Scene) -> Said:
    return not_applicable("no setting says where this node's backups are")


def verified(_scene: Scene) -> Said:
    return not_applicable("no setting says where this node's backups are")


CHECKS = (
    Check("backup.age", "a young backup is there", age, "make one on another machine"),
    Check("backup.verified", "it was read again", verified, "`backup verify` where it is kept"),
)
