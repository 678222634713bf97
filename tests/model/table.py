"""TLC as the judge of ``consensus.pbft.select``: a generated table of inputs and answers.

Owns the module text.  Every row is a base, a set of certificates and the chain the engine's
function answered; TLC evaluates the model's own ``Select`` on it.  In Python, the transcription
is compared on all multisets of up to three view changes with a window of three; TLC gets each
different pair of base and certificates once.
"""

import re
import tempfile
import time
from pathlib import Path

from tests.model.abstract import Cert, Chain, Word, engine, inputs, outcomes, words
from tests.model.run import tlc

CASES = 246_904
ROWS_EACH = 200  # per definition: the parser is slow on long sequences

CONFIG = """INIT Init
NEXT Stay
CONSTANTS
  N = 4
  Honest = {h1, h2, h3}
  MaxView = 1
  MaxHeight = 3
  W = 3
  Values = {"a", "b"}
  Broken = "none"
  Depth = 0
"""


def _chain(chain: Chain) -> str:
    return "<<" + ", ".join(f'"{value}"' for value in chain) + ">>"


def _row(base: Chain, certs: frozenset[Cert], answer: Chain, ties: int) -> str:
    listed = ", ".join(f"<<{view}, {_chain(b)}>>" for view, b in sorted(certs))
    return f"<<{_chain(base)}, {{{listed}}}, {_chain(answer)}, {ties}>>"


def rows() -> tuple[list[str], int, int]:
    """Return the table, the cases behind it, and on how many Python already disagreed."""
    listed = words(window=3)
    table: dict[tuple[Chain, frozenset[Cert]], str] = {}
    cases = wrong = 0
    for position, first in enumerate(listed):
        for case in inputs(first, listed[position:], more_max=2):
            cases += 1
            answer, expected = engine(case), outcomes(case)
            wrong += answer not in expected
            key = _key(case)
            if key not in table:
                table[key] = _row(*key, answer, len(expected))
    return list(table.values()), cases, wrong


def _key(case: tuple[Word, ...]) -> tuple[Chain, frozenset[Cert]]:
    base = max((word.base for word in case), key=len)
    return base, frozenset(cert for word in case for cert in word.certs)


def module(name: str, table: list[str]) -> str:
    parts = [table[i : i + ROWS_EACH] for i in range(0, len(table), ROWS_EACH)]
    text = [f"---- MODULE {name} ----", "EXTENDS ChainPBFT"]
    for number, part in enumerate(parts):
        text.append(f"Rows{number} == <<\n  " + ",\n  ".join(part) + "\n>>")
        text.append(
            f"ASSUME \\A i \\in DOMAIN Rows{number} : LET row == Rows{number}[i]\n"
            "                                      found == Select(row[1], row[2])\n"
            '  IN /\\ Assert(row[3] \\in found, <<"the engine chose", row>>)\n'
            '     /\\ Assert(Cardinality(found) = row[4], <<"outcomes", row>>)'
        )
    text += ["Stay == UNCHANGED vars", f'ASSUME PrintT(<<"judged", {len(table)}>>)', "===="]
    return "\n".join(text) + "\n"


def judge_by_tlc(jar: Path) -> bool:
    """Print what TLC says to the engine's answers; True when it agrees with each."""
    started = time.monotonic()
    table, cases, wrong = rows()
    print(
        f"{cases:,} inputs, {wrong} where engine and transcription differ"
        f" ({time.monotonic() - started:.1f} s)"
    )
    with tempfile.TemporaryDirectory() as room:
        path = Path(room) / "SelectTable.tla"
        path.write_text(module("SelectTable", table))
        output, ended, seconds = tlc(jar, path, CONFIG, limit_s=600)
    judged = ended and f'<<"judged", {len(table)}>>' in output
    agreed = judged and "No error has been found" in output and "Error" not in output
    good = agreed and wrong == 0 and cases == CASES
    verdict = "each answer is the model's" if good else "NOT CONFIRMED"
    print(f"TLC judged {len(table):,} different inputs of Select ({seconds:.1f} s): {verdict}")
    if not good:
        print(re.sub(r"(?m)^Parsing.*\n", "", output)[-3000:])
    return good
