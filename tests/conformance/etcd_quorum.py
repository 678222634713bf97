"""Judge the etcd project's quorum scenarios with ``consensus.quorum``.

The files hold two commands, ``committed`` and ``vote``, over one majority (``cfg``) or two
(``cfg`` and ``cfgj``).  ``idx`` and ``votes`` give what each voter said, in the order in which
the ids first occur; an underscore is a voter not heard from.  Beside the recorded answer each
scenario must keep its result under changes that cannot matter: halves swapped, an empty or
an identical half added, a vote below the result lowered further.
"""

from consensus.quorum import (
    COMMITTED_ALL,
    VoteResult,
    committed_index,
    joint_committed_index,
    joint_vote_result,
    vote_result,
)
from tests.conformance import datadriven
from tests.conformance.datadriven import Directive

COMMANDS = frozenset({"committed", "vote"})
NAMES = {
    VoteResult.WON: "VoteWon",
    VoteResult.LOST: "VoteLost",
    VoteResult.PENDING: "VotePending",
}


def recognises(text: str) -> bool:
    return datadriven.recognises(text, COMMANDS)


def check(text: str) -> str | None:
    return datadriven.check(text, answer)


def answer(directive: Directive) -> str:
    """Return what the command prints."""
    incoming = _ids(directive, "cfg")
    joint = directive.values("cfgj") is not None
    outgoing = _ids(directive, "cfgj")
    voters = list(dict.fromkeys([*incoming, *outgoing]))
    said = directive.values("votes" if directive.command == "vote" else "idx") or ()
    if len(said) != len(voters):
        return f"{len(said)} statements for {len(voters)} voters\n"
    known = {voter: word for voter, word in zip(voters, said, strict=True) if word != "_"}
    if directive.command == "vote":
        return _vote(incoming, outgoing if joint else None, known)
    acked = {voter: int(word) for voter, word in known.items()}
    if joint:
        return _joint_committed(incoming, outgoing, acked)
    return _committed(incoming, acked)


def _ids(directive: Directive, key: str) -> list[int]:
    values = directive.values(key) or ()
    return [] if values == ("zero",) else [int(value) for value in values]


def _vote(incoming: list[int], outgoing: list[int] | None, known: dict[int, str]) -> str:
    votes = {voter: {"y": True, "n": False}[word] for voter, word in known.items()}
    if outgoing is None:
        result = vote_result(incoming, votes)
        same = [
            joint_vote_result(incoming, [], votes),
            joint_vote_result(incoming, incoming, votes),
        ]
    else:
        result = joint_vote_result(incoming, outgoing, votes)
        same = [joint_vote_result(outgoing, incoming, votes)]
    return _agreed(NAMES[result], [NAMES[other] for other in same])


def _committed(voters: list[int], acked: dict[int, int]) -> str:
    index = committed_index(voters, acked)
    same = [
        max(_candidates(voters, acked)),
        joint_committed_index(voters, [], acked),
        joint_committed_index(voters, voters, acked),
    ]
    for voter in voters:
        if 0 < acked.get(voter, 0) < index:
            same += [committed_index(voters, {**acked, voter: low}) for low in (0, 1)]
    return _picture(voters, acked) + _agreed(_number(index), [_number(i) for i in same])


def _candidates(voters: list[int], acked: dict[int, int]) -> list[int]:
    """Count for every acknowledged index who reached it: slow, and hard to get wrong."""
    if not voters:
        return [COMMITTED_ALL]
    return [0] + [
        index
        for index in acked.values()
        if sum(1 for voter in voters if acked.get(voter, 0) >= index) * 2 > len(voters)
    ]


def _joint_committed(incoming: list[int], outgoing: list[int], acked: dict[int, int]) -> str:
    index = joint_committed_index(incoming, outgoing, acked)
    swapped = joint_committed_index(outgoing, incoming, acked)
    voters = list({*incoming, *outgoing})
    return _picture(voters, acked) + _agreed(_number(index), [_number(swapped)])


def _agreed(result: str, same: list[str]) -> str:
    odd = [f"{other} <-- by another way\n" for other in same if other != result]
    return "".join([*odd, f"{result}\n"])


def _number(index: int) -> str:
    return "\u221e" if index == COMMITTED_ALL else str(index)


def _picture(voters: list[int], acked: dict[int, int]) -> str:
    """Draw a bar per voter: as long as the number of voters that are strictly behind it."""
    if not voters:
        return "<empty majority quorum>"
    indexes = {voter: acked.get(voter, 0) for voter in sorted(voters)}
    width = len(voters)
    rows = [" " * width + "    idx\n"]
    for voter, index in indexes.items():
        behind = sum(1 for other in indexes.values() if other < index)
        bar = f"{'x' * behind}>".ljust(width + 1) if voter in acked else "?".ljust(width + 1)
        rows.append(f"{bar} {index:5}    (id={voter})\n")
    return "".join(rows)
