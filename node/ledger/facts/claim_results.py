"""The outcomes that the claim families share; each family lists its own in ``RESULTS``."""

from typing import Final

from node.ledger.rules import Result

PLAN_UNKNOWN: Final = Result(400, "claim-plan-unknown", "That payer has no such plan.")
RULES_INACTIVE: Final = Result(
    401, "claim-rules-inactive", "No table of that plan is in force yet."
)
VERSION_WRONG: Final = Result(
    402, "claim-version-wrong", "Versions of a plan's tables count up by one."
)
CURRENCY_WRONG: Final = Result(
    403, "claim-currency-wrong", "That is not the currency of the plan, or of the claim."
)
ACTIVATION_PAST: Final = Result(
    404, "claim-activation-past", "Tables come into force later, never behind an earlier one."
)
REGULATOR_MISSING: Final = Result(
    405, "claim-regulator-missing", "The regulator named for this plan must sign too."
)
COVERAGE_EXISTS: Final = Result(406, "claim-coverage-exists", "That coverage exists already.")
COVERAGE_UNKNOWN: Final = Result(407, "claim-coverage-unknown", "No such coverage.")
COVERAGE_ENDED: Final = Result(
    408, "claim-coverage-ended", "The coverage does not reach that period, or has ended."
)
MEMBER_UNKNOWN: Final = Result(
    409, "claim-member-unknown", "The payer knows no active patient under that subject."
)
NOT_PAYER: Final = Result(410, "claim-not-payer", "That is another payer's.")
NOT_PROVIDER: Final = Result(411, "claim-not-provider", "That is another provider's.")
CLAIM_EXISTS: Final = Result(412, "claim-exists", "That claim exists already.")
CLAIM_UNKNOWN: Final = Result(413, "claim-unknown", "No such claim.")
DOUBLE_BILLED: Final = Result(
    414, "claim-double-billed", "One of the services was billed before, to this or any payer."
)
ANCHOR_UNKNOWN: Final = Result(
    415, "claim-anchor-unknown", "A cited encounter is not on the ledger."
)
ANCHOR_FOREIGN: Final = Result(
    416, "claim-anchor-foreign", "A cited encounter was anchored by somebody else."
)
ANCHOR_STALE: Final = Result(
    417, "claim-anchor-stale", "A cited encounter was retracted or has a newer version."
)
PREAUTH_EXISTS: Final = Result(
    418, "claim-preauth-exists", "That pre-authorisation exists already."
)
PREAUTH_UNKNOWN: Final = Result(419, "claim-preauth-unknown", "No such pre-authorisation.")
PREAUTH_ANSWERED: Final = Result(
    420, "claim-preauth-answered", "That pre-authorisation was answered already."
)
PREAUTH_INVALID: Final = Result(
    421, "claim-preauth-invalid", "That pre-authorisation was not granted for this coverage."
)
PREAUTH_EXPIRED: Final = Result(
    422, "claim-preauth-expired", "The pre-authorisation's time is over."
)
PREAUTH_SPENT: Final = Result(
    423, "claim-preauth-spent", "More units than the pre-authorisation has left."
)
PREAUTH_EXCEEDED: Final = Result(
    424, "claim-preauth-exceeded", "The answer grants what was not asked for."
)
DISAGREES: Final = Result(
    425, "claim-adjudication-disagrees", "The plan's table gives other shares for these lines."
)
TOTALS_WRONG: Final = Result(
    426, "claim-totals-wrong", "The totals are not the sums of the lines."
)
TABLE_WRONG: Final = Result(
    427, "claim-table-wrong", "The claim is adjudicated by the table in force when it came."
)
STILL_PENDED: Final = Result(
    428, "claim-still-pended", "The time to send what was asked for is not over."
)
STATE_WRONG: Final = Result(
    429, "claim-state-wrong", "The claim is not in a state that allows this."
)
NOT_ASKED: Final = Result(
    430, "claim-documents-not-asked", "Documents can be missing only after a claim was pended."
)
DENIAL_OVERTURNED: Final = Result(
    431, "claim-denial-overturned", "That line's denial was overturned: it must be paid."
)
ALLOWED_ALREADY: Final = Result(
    432, "claim-allowed-already", "A claim of which something was allowed stays."
)
TOO_MANY: Final = Result(
    433, "claim-too-many-steps", "There are as many steps, rounds or reports as there may be."
)

SHARED: Final = (
    PLAN_UNKNOWN,
    RULES_INACTIVE,
    VERSION_WRONG,
    CURRENCY_WRONG,
    ACTIVATION_PAST,
    REGULATOR_MISSING,
    COVERAGE_EXISTS,
    COVERAGE_UNKNOWN,
    COVERAGE_ENDED,
    MEMBER_UNKNOWN,
    NOT_PAYER,
    NOT_PROVIDER,
    CLAIM_EXISTS,
    CLAIM_UNKNOWN,
    DOUBLE_BILLED,
    ANCHOR_UNKNOWN,
    ANCHOR_FOREIGN,
    ANCHOR_STALE,
    PREAUTH_EXISTS,
    PREAUTH_UNKNOWN,
    PREAUTH_ANSWERED,
    PREAUTH_INVALID,
    PREAUTH_EXPIRED,
    PREAUTH_SPENT,
    PREAUTH_EXCEEDED,
    DISAGREES,
    TOTALS_WRONG,
    TABLE_WRONG,
    STILL_PENDED,
    STATE_WRONG,
    NOT_ASKED,
    DENIAL_OVERTURNED,
    ALLOWED_ALREADY,
    TOO_MANY,
)
