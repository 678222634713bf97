"""Write canon.json: canonical forms, refusals, commitments and tags, without our own code.

The canonical forms below are written by hand and the hashes are spelt out with hashlib, so
that the file is a second opinion and not an echo.  Other implementations may read it:
bytes are hexadecimal, documents are text.  Run it from anywhere; the output is the same.
"""

import json
from hashlib import blake2b, sha256
from pathlib import Path

OBSERVATION = """{
  "resourceType": "Observation",
  "meta": {"versionId": "7", "lastUpdated": "2024-03-01T08:00:00Z"},
  "text": {"status": "generated", "div": "<div>Potassium</div>"},
  "id": "k-1",
  "status": "final",
  "code": {"text": "Potassium", "coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
  "valueQuantity": {"value": 4.10, "unit": "mmol/L"}
}"""
OBSERVATION_LEX = (
    '{"code":{"coding":[{"code":"2823-3","system":"http://loinc.org"}],"text":"Potassium"},'
    '"id":"k-1","resourceType":"Observation","status":"final",'
    '"valueQuantity":{"unit":"mmol/L","value":4.10}}'
)
BUNDLE = (
    '{"resourceType":"Bundle","meta":{"tag":[]},"type":"batch-response","entry":['
    '{"resource":{"resourceType":"Patient","meta":{},"text":{},"contained":['
    '{"resourceType":"Organization","id":"o","text":{},"name":"N"}],"id":"p"}},'
    '{"response":{"status":"400","outcome":{"resourceType":"OperationOutcome","text":{},'
    '"issue":[{"details":{"text":"kept"}}]}}}]}'
)
BUNDLE_LEX = (
    '{"entry":[{"resource":{"contained":[{"id":"o","name":"N","resourceType":"Organization"}],'
    '"id":"p","resourceType":"Patient"}},{"response":{"outcome":{"issue":[{"details":'
    '{"text":"kept"}}],"resourceType":"OperationOutcome"},"status":"400"}}],'
    '"resourceType":"Bundle","type":"batch-response"}'
)
PARAMETERS = (
    '{"resourceType":"Parameters","parameter":[{"name":"a","part":[{"name":"b","resource":'
    '{"resourceType":"Basic","meta":{"x":1},"id":"1"}}]},{"name":"m","valueMeta":{"z":0}}]}'
)
PARAMETERS_LEX = (
    '{"parameter":[{"name":"a","part":[{"name":"b","resource":'
    '{"id":"1","resourceType":"Basic"}}]},{"name":"m","valueMeta":{"z":0}}],'
    '"resourceType":"Parameters"}'
)
# canon number, document, canonical form
FORMS = {
    "octets stay as they are": (0, ' {"b": 1.0} ', ' {"b": 1.0} '),
    "DICOM octets stay as they are": (4, "\u0000DICM", "\u0000DICM"),
    "an observation keeps its precision": (2, OBSERVATION, OBSERVATION_LEX),
    "RFC 8785 drops it": (1, OBSERVATION, OBSERVATION_LEX.replace("4.10", "4.1")),
    "a bundle and all it holds": (2, BUNDLE, BUNDLE_LEX),
    "resources in parameters": (2, PARAMETERS, PARAMETERS_LEX),
    "plain JSON loses nothing": (2, '{"text":"t","meta":{}}', '{"meta":{},"text":"t"}'),
    "a resource nobody placed keeps its text": (
        2,
        '{"resourceType":"Basic","code":{"resourceType":"Basic","text":"kept"}}',
        '{"code":{"resourceType":"Basic","text":"kept"},"resourceType":"Basic"}',
    ),
    "UTF-16 order, emoji before dalet": (
        2,
        '{"\ufb33":1,"\\ud83d\\ude02":2,"\U00010000":3,"\u20ac":4,"":5}',
        '{"":5,"\u20ac":4,"\U00010000":3,"\U0001f602":2,"\ufb33":1}',
    ),
    "string escapes": (
        2,
        '["\\u0000\\u001F\\b\\t\\n\\f\\r\\/\\\\\\"\\u007f\\u00e9\\u2028"]',
        '["\\u0000\\u001f\\b\\t\\n\\f\\r/\\\\\\"\u007f\u00e9\u2028"]',
    ),
    "number lexemes verbatim": (
        2,
        "[1.0, 1.00, 1E+2, -0, -0.0, 1000000000000000000, 1e400, 9007199254740993]",
        "[1.0,1.00,1E+2,-0,-0.0,1000000000000000000,1e400,9007199254740993]",
    ),
    "numbers as doubles": (
        1,
        "[1.0, 1.00, 1E+2, -0, -0.0, 1000000000000000000, 1e21, 123456789012345680000, "
        "0.000001, 1e-7, 1.5e-9, -12.50, 1E23, 5e-324, 1.7976931348623157e308, 0.1e1]",
        "[1,1,100,0,0,1000000000000000000,1e+21,123456789012345680000,"
        "0.000001,1e-7,1.5e-9,-12.5,1e+23,5e-324,1.7976931348623157e+308,1]",
    ),
    "a lone scalar": (2, ' "x" ', '"x"'),
}
# reason, canon number, bytes
REFUSALS = {
    "duplicate key": ("duplicate-key", 2, b'{"a":1,"a":1}'),
    "duplicate key after unescaping": ("duplicate-key", 1, b'{"a":1,"\\u0061":1}'),
    "byte order mark": ("byte-order-mark", 2, b"\xef\xbb\xbf{}"),
    "not UTF-8": ("encoding", 2, b'"\xff"'),
    "surrogate in UTF-8": ("encoding", 2, b'"\xed\xa0\x80"'),
    "lone high surrogate": ("surrogate", 2, b'{"a":"\\ud800"}'),
    "lone low surrogate in a key": ("surrogate", 1, b'{"\\udc00":1}'),
    "lone surrogate in what #static drops": (
        "surrogate",
        2,
        b'{"resourceType":"Basic","meta":{"id":"\\ud800"}}',
    ),
    "NaN": ("number", 2, b"[NaN]"),
    "Infinity": ("number", 1, b"[-Infinity]"),
    "beyond doubles": ("number", 1, b"[1e400]"),
    "integer that doubles cannot hold": ("number", 1, b"[9007199254740993]"),
    "leading zero": ("syntax", 2, b"[01]"),
    "bare point": ("syntax", 2, b"[1.]"),
    "trailing text": ("syntax", 2, b"{} {}"),
    "trailing comma": ("syntax", 2, b"[1,]"),
    "raw control character": ("syntax", 2, b'"\n"'),
    "no-break space is no white space": ("syntax", 2, b"\xc2\xa0{}"),
    "digits of another script": ("syntax", 2, "[1\u0663]".encode()),
    "nothing": ("syntax", 2, b""),
    "65 deep": ("depth", 2, b"[" * 65 + b"]" * 65),
    "EPCIS hash": ("canon-unsupported", 3, b"{}"),
    "unknown form": ("canon-unknown", 5, b"{}"),
}
# Doubles by their bits, and how ECMAScript prints them (values of RFC 8785, appendix B)
DOUBLES = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
# document, media type number, canon, canonical form, first byte of r
OPENINGS = {
    "observation": (OBSERVATION, 1, 2, OBSERVATION_LEX, 0),
    "plain text": ("potassium 4.1", 6, 0, "potassium 4.1", 100),
}


def commitment(raw: str, media: int, canon: int, form: str, first: int) -> dict[str, object]:
    r = bytes(range(first, first + 32))
    d1, d0 = sha256(form.encode()).digest(), sha256(raw.encode()).digest()
    hashed = (
        b"chartseal/commit/v1\x00" + bytes([canon]) + media.to_bytes(2, "big") + r + d1 + d0
    )
    fields = b"\x96\x01" + bytes([canon, media])  # array of six; small integers
    encoded = fields + b"".join(b"\xc4\x20" + part for part in (r, d1, d0))
    return {
        "raw": raw,
        "media_type_id": media,
        "canon": canon,
        "r": r.hex(),
        "d1": d1.hex(),
        "d0": d0.hex(),
        "opening": encoded.hex(),
        "commitment": sha256(hashed).hexdigest(),
    }


def tag(secret: bytes, i: int) -> dict[str, object]:
    hashed = blake2b(
        i.to_bytes(8, "big"), digest_size=16, key=secret, person=b"chartseal-tag-1"
    )
    return {"secret": secret.hex(), "i": i, "tag": hashed.hexdigest()}


def build() -> str:
    """Return the text of canon.json."""
    content = {
        "forms": [
            {"name": name, "canon": canon, "raw": raw, "canonical": form}
            for name, (canon, raw, form) in FORMS.items()
        ],
        "refusals": [
            {"name": name, "reason": reason, "canon": canon, "raw_hex": raw.hex()}
            for name, (reason, canon, raw) in REFUSALS.items()
        ],
        "doubles": [{"bits": bits, "printed": printed} for bits, printed in DOUBLES.items()],
        "commitments": [
            {"name": name} | commitment(*fields) for name, fields in OPENINGS.items()
        ],
        "tags": [
            tag(secret, i)
            for secret in (bytes(32), bytes(range(32)))
            for i in (0, 1, 2, 255, 256, (1 << 64) - 1)
        ],
    }
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("canon.json").write_text(build(), encoding="ascii")
