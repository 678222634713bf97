"""Every check made once, in the order of the groups."""

from collections.abc import Collection, Iterator
from typing import Final

from node.doctor import (
    backup,
    cfg,
    disk,
    keys,
    ledger,
    net,
    os_,
    quorum,
    security,
    sinks,
    store,
    time_,
    tls,
    version,
)
from node.doctor.finding import GROUPS, MANUAL, Check, Finding, Said, State, not_applicable
from node.doctor.scene import Scene

CHECKS: Final[tuple[Check, ...]] = (
    *cfg.CHECKS,
    *os_.CHECKS,
    *time_.CHECKS,
    *disk.CHECKS,
    *keys.CHECKS,
    *tls.CHECKS,
    *net.CHECKS,
    *store.CHECKS,
    *ledger.CHECKS,
    *quorum.CHECKS,
    *sinks.CHECKS,
    *backup.CHECKS,
    *security.CHECKS,
    *version.CHECKS,
)
_WITHOUT_SETTINGS: Final = ("cfg.parse", "os.")

assert {check.group for check in CHECKS} == set(GROUPS), "a group without a check"
assert len({check.id for check in CHECKS}) == len(CHECKS), "an id twice"


def chosen(only: Collection[str], skip: Collection[str]) -> list[Check]:
    """Return the checks whose id or group is in ``only`` (empty: all) and not in ``skip``."""

    def named(check: Check, words: Collection[str]) -> bool:
        return check.id in words or check.group in words

    return [
        check for check in CHECKS if (not only or named(check, only)) and not named(check, skip)
    ]


def examine(scene: Scene, checks: Collection[Check], *, fix: bool = False) -> Iterator[Finding]:
    """Make ``checks``; with ``fix`` mend what is safe to mend, and look again."""
    for check in checks:
        said, mended = _look(scene, check), list[str]()
        bad = said.state in (State.WARNING, State.FAILURE)
        if fix and bad and check.mend is not None:
            mended = check.mend(scene)
            said = _look(scene, check)
        yield Finding(
            id=check.id,
            group=check.group,
            severity=str(said.state),
            what=check.what,
            evidence=said.evidence,
            fix=check.fix,
            docs=f"{MANUAL}#{check.group}",
            mended=mended,
        )


def _look(scene: Scene, check: Check) -> Said:
    if scene.config is None and not check.id.startswith(_WITHOUT_SETTINGS):
        return not_applicable("the settings cannot be read")
    return check.look(scene)
