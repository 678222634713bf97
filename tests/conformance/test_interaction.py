"""The interaction oracle itself: it runs a story, compares every line, says what differs."""

import pytest

from tests.conformance import etcd_interaction

STORY = """\
# Written here, in the same format.
add-nodes 2 voters=(1,2) index=2
----
INFO whatever the original logs is passed over

campaign 1
----
ok

stabilize log-level=none
----
ok

raft-state
----
1: StateLeader (Voter) Term:1 Lead:1
2: StateFollower (Voter) Term:1 Lead:1

propose 2 foo
----
ok

process-ready 2
----
Ready MustSync=false:
Messages:
2->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "foo"]

deliver-msgs drop=(1)
----
dropped: 2->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "foo"]

status 1
----
1: StateReplicate match=3 next=4
2: StateReplicate match=3 next=4

transfer-leadership from=2 to=2
----
ok

stabilize
----
> 2 handling Ready
  Ready MustSync=false:
  Messages:
  2->1 MsgTransferLeader Term:1 Log:0/0
> 1 receiving messages
  2->1 MsgTransferLeader Term:1 Log:0/0
> 1 handling Ready
  Ready MustSync=false:
  Messages:
  1->2 MsgTimeoutNow Term:1 Log:0/0
> 2 receiving messages
  1->2 MsgTimeoutNow Term:1 Log:0/0
  INFO and so on
> 2 handling Ready
  Ready MustSync=true:
  Lead:0 State:StateCandidate
  HardState Term:2 Vote:2 Commit:3
  Messages:
  2->1 MsgVote Term:2 Log:1/3
> 1 receiving messages
  2->1 MsgVote Term:2 Log:1/3
> 1 handling Ready
  Ready MustSync=true:
  Lead:0 State:StateFollower
  HardState Term:2 Vote:2 Commit:3
  Messages:
  1->2 MsgVoteResp Term:2 Log:0/0
> 2 receiving messages
  1->2 MsgVoteResp Term:2 Log:0/0
> 2 handling Ready
  Ready MustSync=true:
  Lead:2 State:StateLeader
  Entries:
  2/4 EntryNormal ""
  Messages:
  2->1 MsgApp Term:2 Log:1/3 Commit:3 Entries:[2/4 EntryNormal ""]
> 1 receiving messages
  2->1 MsgApp Term:2 Log:1/3 Commit:3 Entries:[2/4 EntryNormal ""]
> 1 handling Ready
  Ready MustSync=true:
  Lead:2 State:StateFollower
  Entries:
  2/4 EntryNormal ""
  Messages:
  1->2 MsgAppResp Term:2 Log:0/4
> 2 receiving messages
  1->2 MsgAppResp Term:2 Log:0/4
> 2 handling Ready
  Ready MustSync=false:
  HardState Term:2 Vote:2 Commit:4
  CommittedEntries:
  2/4 EntryNormal ""
  Messages:
  2->1 MsgApp Term:2 Log:2/4 Commit:4
> 1 receiving messages
  2->1 MsgApp Term:2 Log:2/4 Commit:4
> 1 handling Ready
  Ready MustSync=false:
  HardState Term:2 Vote:2 Commit:4
  CommittedEntries:
  2/4 EntryNormal ""
  Messages:
  1->2 MsgAppResp Term:2 Log:0/4
> 2 receiving messages
  1->2 MsgAppResp Term:2 Log:0/4

propose-conf-change 1
v3
----
ok

log-level none
----
ok

forget-leader 1
----
ok

propose 1 bar
----
raft proposal dropped
"""


def test_a_story_that_prints_what_it_should_passes() -> None:
    assert etcd_interaction.recognises(STORY)
    assert etcd_interaction.check(STORY) is None


@pytest.mark.parametrize(
    ("said", "instead", "told"),
    [
        ("match=3 next=4\n2:", "match=9 next=4\n2:", "status"),
        ("MsgTimeoutNow", "MsgHup", "stabilize"),
        ("raft proposal dropped", "ok", "propose"),
        ("2->1 MsgVote Term:2 Log:1/3\n> 1 handling", "> 1 handling", "stabilize"),
    ],
)
def test_a_difference_is_told_with_its_line_and_both_sides(
    said: str, instead: str, told: str
) -> None:
    wrong = etcd_interaction.check(STORY.replace(said, instead))
    assert wrong is not None
    assert wrong.startswith("line ")
    assert f", {told}: " in wrong
    assert "+" in wrong


def test_other_formats_are_not_recognised() -> None:
    assert not etcd_interaction.recognises("simple\nv1\n----\nvoters=(1)\n")
    assert not etcd_interaction.recognises("{}")
