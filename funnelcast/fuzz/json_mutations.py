"""Mutations of a text that is meant to be JSON, a form or a query: one odd thing at a place drawn at random.

Pure functions of the generator; what does not parse comes back with odd bytes in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final
from urllib.parse import quote_from_bytes

ODD: Final[tuple[str, ...]] = (
    "null", "true", "false", "[]", "{}", '""', '" "', "0", "-0", "-1", "1", "0.1", "1e400", "-1e400", "1e-400", "NaN",
    "Infinity", "9" * 400,
    "9" * 5_000, '"' + "9" * 5_000 + '"', "{" * 40 + '"' + '\\"' * 9_000,
    "-" + "9" * 400, "9007199254740993", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "1.7976931348623157e308", "0." + "3" * 400, "00", "01", "+1", ".5", "1.", "0x10",
    '"null"', '"undefined"', '"[object Object]"', '"0"', '"-1"', '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"',
    '"\\uffff"', '"\U0001f600"', '"\u202e\u0000abc"', '"\\"', "'x'", '"9999-12-31T23:59:59Z"',
    '"0000-00-00T00:00:00Z"', '"10000-01-01"', '"2025-02-30T25:61:61+99:99"', '"1735725600"', "1735725600",
    "1735725600000000", '"19.99"', '"1,999.00"', '"-5"', '"' + "x" * 300 + '"', '"' + "\U0001f600" * 70 + '"',
    '"' + "y" * 40_000 + '"', '"ann@example.com"', '"@"', '"+49"', '"http://["',
    '"https://shop.example.com/?utm_source=%FF&utm_source=&gclid=' + "a" * 3000 + '"', '"a\\u0000b"', '{"":""}',
    '"\\u001b[2J\\u001b]0;title\\u0007"', '"\\u009b31mred"', '"\\u202e\\u2066"', '"half \\ud83d"', '"\\ude00 half"',
    '{"a":{"a":{"a":{}}}}', "[[[[]]]]", '[{"name":"click"}]', '{"__proto__":{"a":1}}', '{"value":1e999}',
)  # fmt: skip
"""Texts of JSON values, some of them none."""
_DEPTHS: Final = (2, 31, 32, 33, 64, 500, 5_000, 100_000)
_TOKENS: Final = (
    b"[",
    b"]",
    b"[]",
    b"%5B",
    b"%5D",
    b"%00",
    b"%FF",
    b"%",
    b"&",
    b"=",
    b";",
    b"+",
    b"%u0041",
    b"[999999999]",
)
_MARK: Final = "\ue000here\ue001"


def odd_json(rng: Random, body: bytes) -> bytes:
    """One value, member or key of a JSON text made odd."""
    try:
        tree = json.loads(body)
        places = list(_places(tree))
    except (ValueError, RecursionError):
        return odd_bytes(rng, body)
    if not places:
        return rng.choice(ODD).encode("utf-8", "surrogatepass")
    parent, key = rng.choice(places)
    text = _KINDS[rng.choice(tuple(_KINDS))](rng, json.dumps(parent[key], ensure_ascii=False))
    if text is None:
        del parent[key]
        return json.dumps(tree).encode()
    if isinstance(parent, dict) and rng.random() < 0.1:
        text = f"{json.dumps(parent[key])},{json.dumps(key)}:{text}"  # the same key twice
    parent[key] = _MARK
    if isinstance(parent, dict) and rng.random() < 0.1:
        parent[key + rng.choice(("", " ", "\0", "\ufeff", "[]", "." * 300))] = parent.pop(key)
    return json.dumps(tree, ensure_ascii=False).replace(f'"{_MARK}"', text).encode("utf-8", "surrogatepass")


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    waiting = [tree]
    while waiting:
        here = waiting.pop()
        for key in here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ():
            yield here, key
            waiting.append(here[key])


def _half(rng: Random, text: str) -> str:
    """A text cut between the two halves of a character, as a client without care does it."""
    if len(text) < 3 or text[0] != '"' or "\\" in text:
        return rng.choice(('"\\ud83d"', '"\\ude00"'))
    place = rng.randrange(1, len(text))
    return text[:place] + '\\ud83d"' if rng.random() < 0.5 else '"\\ude00' + text[place:]


def _nested(rng: Random, text: str) -> str:
    depth = rng.choice(_DEPTHS)
    opened, closed = rng.choice((('{"a":', "}"), ("[", "]"), ('{"properties":', "}")))
    return opened * depth + text + closed * (depth - rng.choice((0, 0, 0, 1)))


def _many(rng: Random, text: str) -> str:
    count = rng.choice((2, 10, 300, 2_001)) if len(text) < 400 else 3
    return "[" + ",".join([text] * count) + "]"


def _members(rng: Random, text: str) -> str:
    return "{" + ",".join(f'"k{at}":{text if len(text) < 60 else 1}' for at in range(rng.choice((20, 400)))) + "}"


_KINDS: Final[dict[str, Any]] = {
    "odd": lambda rng, text: rng.choice(ODD),
    "odd again": lambda rng, text: rng.choice(ODD),
    "half": _half,
    "gone": lambda rng, text: None,
    "nested": _nested,
    "many": _many,
    "members": _members,
    "as text": lambda rng, text: json.dumps(text),
}


def odd_pairs(rng: Random, text: bytes) -> bytes:
    """One pair of a form or query made odd."""
    pairs = text.split(b"&")
    index = rng.randrange(len(pairs))
    name, sign, value = pairs[index].partition(b"=")
    match rng.randrange(7):
        case 0:
            value = quote_from_bytes(rng.choice(ODD).encode("utf-8", "surrogatepass")).encode()
        case 1:
            name = name + b"".join(rng.choices(_TOKENS, k=rng.choice((1, 3, 40))))
        case 2:
            value = b"".join(rng.choices(_TOKENS, k=rng.choice((1, 3, 40))))
        case 3:
            pairs.insert(index, name + sign + rng.choice((b"", b"0", b"null", value + value)))
        case 4:
            sign = rng.choice((b"", b"==", b"%3D"))
        case 5:
            value = bytes(rng.randrange(33, 256) for _ in range(rng.choice((1, 20, 2_000))))
        case _:
            pairs += [b"k%d=v" % number for number in range(rng.choice((5, 300, 3_000)))]
    pairs[index] = name + sign + value
    return b"&".join(pairs)


def odd_bytes(rng: Random, body: bytes) -> bytes:
    """Bits turned, bytes cut out, put in, repeated or cut off."""
    data = bytearray(body or b"{}")
    index = rng.randrange(len(data))
    match rng.randrange(6):
        case 0:
            for _ in range(rng.choice((1, 1, 3, 30))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            del data[index:]
        case 2:
            del data[index : index + rng.choice((1, 2, 50))]
        case 3:
            data[index:index] = rng.choice(
                (b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\0", b"\xef\xbb\xbf", b'"', b"}", b"\n", b",")
            )
        case 4:
            data += data[index:] * rng.choice((1, 2, 20))
        case _:
            data[index:index] = rng.randbytes(rng.choice((1, 8, 200)))
    return bytes(data)
