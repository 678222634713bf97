"""The access report: what happened to one patient's data, line by line, in plain words.

Owns the sentences, in English and Chinese, for the events of ``access.log``; institutions
stand under their ids.  Codes of purposes, HL7 v3 PurposeOfUse, are put into words.
"""

import datetime
from typing import Final

from node.ledger.facts.accesses import Event

LANGUAGES: Final = ("en", "zh")
# fmt: off
_SENTENCES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "request": "{recipient} asked {custodian} for your data, {purpose}.",
        "permit": "The request of {recipient} was permitted, {purpose}.",
        "deny": "The request of {recipient} was denied, {purpose}.",
        "release": "{custodian} gave {items} of your records to {recipient}, {purpose}.",
        "receipt": "{recipient} confirmed what it received from {custodian}.",
        "glass": "{recipient} opened your data in an emergency, without asking first.",
        "review": "The emergency access was reviewed: {reason}.",
        "disclosure":
            "{custodian} disclosed {items} of your records to {recipient}, {purpose}.",
        "overdue": "{org} did not do in time what it had to: {reason}.",
    },
    "zh": {
        "request": "{recipient} 向 {custodian} 请求查看您的数据，目的：{purpose}。",  # noqa: RUF001
        "permit": "{recipient} 的请求获准，目的：{purpose}。",  # noqa: RUF001
        "deny": "{recipient} 的请求被拒绝，目的：{purpose}。",  # noqa: RUF001
        "release": "{custodian} 向 {recipient} 提供了您的 {items} 份记录，目的：{purpose}。",  # noqa: RUF001
        "receipt": "{recipient} 确认了从 {custodian} 收到的内容。",
        "glass": "{recipient} 在紧急情况下未经事先请求查看了您的数据。",
        "review": "该紧急查看已经过复核：{reason}。",  # noqa: RUF001
        "disclosure": "{custodian} 向 {recipient} 披露了您的 {items} 份记录，目的：{purpose}。",  # noqa: RUF001
        "overdue": "{org} 未按时完成其义务：{reason}。",  # noqa: RUF001
    },
}
_PURPOSES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "BTG": "in an emergency",
        "ETREAT": "for emergency treatment",
        "HLEGAL": "for legal reasons",
        "HOPERAT": "for the work of the institution",
        "HPAYMT": "for payment",
        "HQUALIMP": "to improve quality",
        "HRESCH": "for research",
        "PATRQT": "because you asked",
        "PUBHLTH": "for public health",
        "TREAT": "for treatment",
    },
    "zh": {
        "BTG": "紧急情况",
        "ETREAT": "急救治疗",
        "HLEGAL": "法律要求",
        "HOPERAT": "机构运营",
        "HPAYMT": "费用支付",
        "HQUALIMP": "质量改进",
        "HRESCH": "研究",
        "PATRQT": "您本人的请求",
        "PUBHLTH": "公共卫生",
        "TREAT": "治疗",
    },
}
_ELSEWHERE: Final = {"en": "somebody outside of this network", "zh": "网络之外的一方"}
# fmt: on


def line(event: Event, language: str) -> str:
    """Return one event in words, with its time in UTC."""
    at = datetime.datetime.fromtimestamp(event.happened_ms / 1000, datetime.UTC)
    elsewhere = _ELSEWHERE[language]
    said = _SENTENCES[language][event.event].format(
        org=event.org,
        custodian=event.custodian,
        recipient=event.recipient or elsewhere,
        purpose=_PURPOSES[language][event.purpose],
        items=event.items,
        reason=event.reason or "",
    )
    return f"{at:%Y-%m-%d %H:%M} UTC: {said}"
