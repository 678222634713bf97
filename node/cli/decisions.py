"""How founders say by what votes and after which time their network decides.

Owns: ``TOPIC=WAIT[,PERCENT]`` on a command line; what is not said stays as the ledger's rules
have it.  Refuses: topics that there are not, shares and times out of the rules' bounds.
"""

import difflib
import re
from typing import Final

import click

from node.cli.fields import number_of
from node.ledger.facts.governance import DEFAULT_POLICIES
from node.ledger.policies import TOPICS, Policy

_PERCENT: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%")


def decided_at_once() -> tuple[Policy, ...]:
    """Return the default shares without any waiting time, for networks that are tried out."""
    return tuple(_policy(topic, wait_ms=0) for topic in sorted(TOPICS))


def policies_of(words: tuple[str, ...]) -> tuple[Policy, ...]:
    """Return the policies in ``words``, ascending by topic; raises ``click.BadParameter``."""
    found: dict[str, Policy] = {}
    for word in words:
        topic, _, said = word.partition("=")
        if topic not in TOPICS:
            close = difflib.get_close_matches(topic, TOPICS, n=1, cutoff=0.5)
            advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(TOPICS)}"
            raise _bad(f"no topic {topic!r}; {advice}")
        if topic in found:
            raise _bad(f"{topic} is given twice")
        found[topic] = _said(topic, said)
    return tuple(found[topic] for topic in sorted(found))


def _said(topic: str, said: str) -> Policy:
    wait, _, percent = said.partition(",")
    wait_ms = None if wait.startswith(("+", "-")) else number_of(wait, now_ms=0)
    if wait_ms is None:
        raise _bad(f"{wait!r} is no time; write 0, 90min, 24h or 7d")
    try:
        if not percent:
            return _policy(topic, wait_ms=wait_ms)
        match = _PERCENT.fullmatch(percent)
        if match is None:
            raise _bad(f"{percent!r} is no share; write 50% to 100%")
        share = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
        return _policy(topic, wait_ms=wait_ms, threshold_bp=share)
    except ValueError as error:
        raise _bad(str(error)) from error


def _policy(topic: str, *, wait_ms: int, threshold_bp: int | None = None) -> Policy:
    row = DEFAULT_POLICIES[topic]
    share = row.threshold_bp if threshold_bp is None else threshold_bp
    return Policy(topic, share, wait_ms, row.window_ms, row.execute_ms)


def _bad(why: str) -> click.BadParameter:
    return click.BadParameter(why, param_hint="--decide")
