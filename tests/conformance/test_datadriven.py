"""The parser of data-driven files, and the two oracles that need nothing but arithmetic."""

import pytest

from tests.conformance import datadriven, etcd_confchange, etcd_quorum, run
from tests.conformance.datadriven import Argument, parse

FILE = """\
# a comment

first 1 2 key=value many=(a, b,c) none=()
----
one line

# another
second \\
  more=yes
input line
last input
----
----
text

with a gap
----
----

third
----

fourth x=(1) y
----
end
"""


def test_commands_arguments_input_and_output_are_told_apart():
    first, second, third, fourth = parse(FILE)
    assert (first.line, first.command, first.input, first.expected) == (
        3,
        "first",
        "",
        "one line\n",
    )
    assert first.positional == ("1", "2")
    assert (first.value("key", "-"), first.values("many")) == ("value", ("a", "b", "c"))
    assert (first.values("none"), first.values("absent")) == ((), None)
    assert second.arguments == (Argument("more", ("yes",)),)
    assert second.input == "input line\nlast input"
    assert second.expected == "text\n\nwith a gap\n"
    assert (third.expected, third.arguments) == ("", ())
    assert fourth.values("x") == ("1",)
    assert fourth.value("absent", "default") == "default"
    assert (fourth.positional, fourth.expected) == (("y",), "end\n")


@pytest.mark.parametrize(
    "text",
    ["first\n", "first \\", "=x\n----\n", "first a=(b\n----\n", "first\n----\n----\nopen\n"],
)
def test_malformed_files_are_refused(text):
    with pytest.raises(ValueError, match="line"):
        parse(text)
    assert not datadriven.recognises(text, frozenset({"first"}))


def test_a_file_belongs_to_who_knows_all_its_commands():
    assert datadriven.recognises("one\n----\n", frozenset({"one", "two"}))
    assert not datadriven.recognises("one\n----\n\nthree\n----\n", frozenset({"one", "two"}))
    assert not datadriven.recognises("# nothing\n", frozenset({"one"}))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("committed\n----\n<empty majority quorum>\u221e\n", None),
        ("committed cfg=(1) idx=(7)\n----\n     idx\n>      7    (id=1)\n7\n", None),
        ("vote cfg=(1,2) cfgj=zero votes=(y,_)\n----\nVotePending\n", None),
        ("vote cfg=(1,2) votes=(y,n)\n----\nVoteWon\n", "line 1, vote"),
        ("vote cfg=(1,2) votes=(y)\n----\nVoteWon\n", "1 statements for 2 voters"),
    ],
)
def test_quorum_scenarios_are_judged(text, wrong):
    assert etcd_quorum.recognises(text)
    found = etcd_quorum.check(text)
    assert found is None if wrong is None else wrong in str(found)


GROWING = """\
simple
v1
----
voters=(1)
1: StateProbe match=0 next=1

enter-joint autoleave=true
v2 l3 l1
----
voters=(2)&&(1) learners=(3) learners_next=(1) autoleave
1: StateProbe match=0 next=1
2: StateProbe match=0 next=1
3: StateProbe match=0 next=1 learner

simple
v0
----
can't apply simple config change in joint config
"""


def test_membership_scenarios_are_judged():
    assert etcd_confchange.recognises(GROWING)
    assert etcd_confchange.check(GROWING) is None
    assert "next=1" in str(etcd_confchange.check(GROWING.replace("2: StateProbe", "4: Probe")))
    with pytest.raises(ValueError, match="takes no steps"):
        etcd_confchange.check("leave-joint\nv1\n----\n")


def test_the_runner_knows_these_files_by_what_is_in_them(tmp_path, capsys):
    (tmp_path / "a").write_text(GROWING)
    (tmp_path / "b").write_text("vote\n----\nVoteWon\n")
    (tmp_path / "c").write_text("vote\n----\nVoteLost\n")
    (tmp_path / "d").write_text("unknown\n----\n")
    assert run.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:4]] == ["PASS", "PASS", "FAIL", "SKIP"]
    assert printed[4] == "2 passed, 1 failed"
