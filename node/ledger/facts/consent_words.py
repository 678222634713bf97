# ruff: noqa: RUF001
"""Consent decisions in sentences for people, in English and Chinese.

One table per closed list of codes; a test holds them complete.  No sentence names a person, an
institution or a disease: whoever shows it knows whom it is about.
"""

from typing import Final

Words = tuple[str, str]  # English, Chinese

PERMIT_WORDS: Final[Words] = ("Yes, it is allowed.", "可以，已获准许。")
PART_WORDS: Final[Words] = (
    "Yes, but only for a part of the data.",
    "可以，但仅限部分数据。",
)
REFUSE_WORDS: Final[Words] = ("No, it is not allowed.", "不可以，未获准许。")

REASON_WORDS: Final[dict[str, Words]] = {
    "break-glass": (
        "It is an emergency: access was opened and will be reviewed.",
        "紧急情况：已开放访问，事后将接受审查。",
    ),
    "implicit-policy": (
        "The patient has said nothing about this, so the network's general policy applies.",
        "患者对此没有作出表示，适用网络的一般政策。",
    ),
    "law-preempts": (
        "A law decides this, whatever the patient has said.",
        "法律对此有规定，优先于患者的意愿。",
    ),
    "no-policy": (
        "The patient has said nothing about this and the network has no general policy.",
        "患者对此没有作出表示，网络也没有一般政策。",
    ),
    "no-such-subject": (
        "This patient is not known on the ledger.",
        "账本上没有这位患者。",
    ),
    "not-custodian": (
        "That institution does not hold this patient's data.",
        "该机构不持有这位患者的数据。",
    ),
    "patient-denies": ("The patient has said no.", "患者已拒绝。"),
    "patient-opted-out": (
        "The patient has opted out of this kind of use.",
        "患者已选择退出此类使用。",
    ),
    "patient-permits": ("The patient has said yes.", "患者已同意。"),
    "subject-ended": (
        "This patient has left the ledger.",
        "这位患者已退出账本。",
    ),
}

VERDICT_WORDS: Final[dict[str, Words]] = {
    "decides": ("This is what decides.", "由此项决定。"),
    "expired": ("Its time is over.", "已过期。"),
    "glass-not-for-purpose": (
        "An emergency opens access for care only.",
        "紧急访问仅限于诊疗。",
    ),
    "glass-not-in-policy": (
        "The network's policy knows no emergency access.",
        "网络政策不允许紧急访问。",
    ),
    "glass-over-denial": (
        "The patient said no, and an emergency does not change that here.",
        "患者已拒绝，紧急情况在此也不改变这一点。",
    ),
    "less-specific": ("Another one is more specific.", "另一项更为具体。"),
    "limits": ("It takes a part of the data away.", "它排除了部分数据。"),
    "not-yet": ("Its time has not come.", "尚未生效。"),
    "older": ("A later one decides.", "由更晚的一项决定。"),
    "other-data": ("It is about other data.", "它涉及的是其他数据。"),
    "other-party": ("It is about somebody else.", "它涉及的是其他人或机构。"),
    "other-purpose": ("It is about another purpose.", "它涉及的是其他用途。"),
    "overridden": ("Something stronger decides.", "由效力更高的一项决定。"),
    "part-only": (
        "It covers only a part of what was asked for.",
        "它只涵盖所请求内容的一部分。",
    ),
}

PURPOSE_WORDS: Final[dict[str, Words]] = {
    "BTG": ("breaking the glass", "紧急破例访问"),
    "ETREAT": ("emergency treatment", "急诊治疗"),
    "HLEGAL": ("legal proceedings", "法律程序"),
    "HOPERAT": ("running the institution", "机构运营"),
    "HPAYMT": ("payment", "费用结算"),
    "HQUALIMP": ("improving quality", "质量改进"),
    "HRESCH": ("research", "科学研究"),
    "PATRQT": ("the patient's own request", "患者本人请求"),
    "PUBHLTH": ("public health", "公共卫生"),
    "TREAT": ("treatment", "诊疗"),
}


def sentences(*, permit: bool, reason: str, limited: bool) -> Words:
    """Return a decision in words: the answer, then the reason."""
    answer = PERMIT_WORDS if permit else REFUSE_WORDS
    if permit and limited:
        answer = PART_WORDS
    why = REASON_WORDS[reason]
    return f"{answer[0]} {why[0]}", f"{answer[1]}{why[1]}"
