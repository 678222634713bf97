"""The names of the ways in which a Byzantine member lies; ``byzantine`` holds what they do."""

TWINS = "twins"
SILENT = "silent"
EQUIVOCATOR = "equivocating-primary"
DOUBLE_PREPARE = "double-prepare"
DOUBLE_COMMIT = "double-commit"
FUTURE_VOTES = "future-votes"
EARLY_COMMIT = "commit-without-prepare"
STALE_CHANGE = "stale-view-change"
FORGED_CHANGE = "forged-view-change"
BARE_CHANGE = "omitting-view-change"
WRONG_CHOICE = "new-view-wrong-choice"
FEW_CHANGES = "new-view-missing-change"
SAME_CHANGES = "new-view-repeated-change"
REPLAYER = "replay-of-old-views"
SLOW_PRIMARY = "slow-primary"
CENSOR = "censoring-primary"
WRONG_ROOT = "wrong-state-root"
BOGUS_SYNC = "bogus-sync"
GARBAGE = "garbage"
WRONG_EPOCH = "wrong-epoch"
REDRESSER = "prepare-as-commit"
EARLY_PRIMARY = "unopened-view"
OLD_PROOFS = "old-certificates"
WHISPERER = "whisperer"
FORGER = "forger"
BOASTER = "false-standing"

BYZANTINE_SCRIPTS = (
    TWINS, SILENT, EQUIVOCATOR, DOUBLE_PREPARE, DOUBLE_COMMIT, FUTURE_VOTES, EARLY_COMMIT,
    STALE_CHANGE, FORGED_CHANGE, BARE_CHANGE, WRONG_CHOICE, FEW_CHANGES, SAME_CHANGES,
    REPLAYER, SLOW_PRIMARY, CENSOR, WRONG_ROOT, BOGUS_SYNC, GARBAGE, WRONG_EPOCH, REDRESSER,
    EARLY_PRIMARY, OLD_PROOFS, WHISPERER, FORGER,
)  # fmt: skip

# These show only when the liar opens a view.
OPENER_SCRIPTS = frozenset({WRONG_CHOICE, FEW_CHANGES, SAME_CHANGES, EQUIVOCATOR})

# These can set the others against each other, given a bad rule.
SPLITTERS = (
    TWINS, TWINS, EQUIVOCATOR, EQUIVOCATOR, DOUBLE_COMMIT, EARLY_COMMIT, STALE_CHANGE,
    FORGED_CHANGE, BARE_CHANGE, WRONG_CHOICE, FEW_CHANGES, SAME_CHANGES, REDRESSER,
    EARLY_PRIMARY, WHISPERER, FORGER,
)  # fmt: skip

# For where eras follow one another.  Not twins: in a Raft era, two members of one name.
ERA_LIARS = (*(each for each in BYZANTINE_SCRIPTS if each != TWINS), *(BOASTER,) * 4)

EPOCH_LIARS = (OLD_PROOFS, OLD_PROOFS, WRONG_EPOCH, REPLAYER)

# One member tells some, and has another bad habit.
WHISPERERS = (
    WHISPERER, *(f"{WHISPERER}+{other}" for other in (
        WRONG_CHOICE, WRONG_CHOICE, BARE_CHANGE, REDRESSER, EQUIVOCATOR, EARLY_COMMIT,
        EARLY_PRIMARY, DOUBLE_COMMIT,
    )),
)  # fmt: skip
