"""How Python reads JSON texts (as floats, and as decimals) and URIs. One child for the fuzz driver, see test/fuzz/driver.ts."""

import decimal
import json
import struct
import sys
from urllib.parse import urljoin, urlsplit

REFUSED = struct.pack("<I", 0xFFFFFFFF)


def decimal_form(text: str) -> str:
    """The exact shortest decimal of a number, as digits and an exponent."""
    sign = "-" if text[0] == "-" else ""
    body, _, exponent = text.lstrip("-+").lower().partition("e")
    whole, _, fraction = body.partition(".")
    digits = (whole + fraction).lstrip("0")
    kept = digits.rstrip("0")
    if not kept:
        return "#0e0;"
    power = int(exponent or 0) - len(fraction) + len(digits) - len(kept)
    return f"#{sign}{kept}e{power};"


def quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def write(value: object, out: list) -> None:
    kind = type(value)
    if kind is dict:
        out.append("{")
        for name in sorted(value):
            out.append(quoted(name))
            write(value[name], out)
        out.append("}")
    elif kind is str:
        out.append(quoted(value))
    elif kind is list:
        out.append("[")
        for item in value:
            write(item, out)
        out.append("]")
    elif value is None:
        out.append("z")
    elif kind is bool:
        out.append("t" if value else "f")
    else:
        out.append(decimal_form(repr(value) if kind is not decimal.Decimal else str(value)))


def canonical(value: object) -> bytes:
    out: list = []
    write(value, out)
    return "".join(out).encode("utf-8")


FLOATS = json.JSONDecoder()
DECIMALS = json.JSONDecoder(parse_float=decimal.Decimal)


def read_json(data: bytes) -> list:
    floats = canonical(json.loads(data))
    text = data.decode("utf-8")
    # Without fractions and exponents there is nothing that the two decoders read differently.
    same = "." not in text and "e" not in text and "E" not in text
    return [floats, floats if same else canonical(DECIMALS.decode(text))]


WEB = {"http", "https", "ws", "wss", "ftp", "file"}


def uri_form(text: str) -> bytes:
    parts = urlsplit(text)
    # What `hostname` and `port` make of it must be the same but for capitals, which are part of the name in other schemes.
    host = parts.hostname or ""
    authority = ("[" + host + "]") if ":" in host else host
    if parts.port is not None:
        authority += f":{parts.port}"
    if "@" in parts.netloc:
        authority = parts.netloc.rpartition("@")[0] + "@" + authority
    if parts.scheme not in WEB and authority.lower() == parts.netloc.lower():
        authority = parts.netloc
    return "\n".join([parts.scheme, authority, parts.path, parts.query, parts.fragment]).encode("utf-8")


def read_uri(data: bytes) -> list:
    text = data.decode("utf-8")
    return [uri_form(text), uri_form(urljoin("file:///base/base", text))]


def answer(read, data: bytes) -> bytes:
    try:
        return b"".join(struct.pack("<I", len(form)) + form for form in read(data))
    except (ValueError, RecursionError, decimal.DecimalException):
        return REFUSED * 2


def main() -> None:
    decimal.getcontext().prec = 2000
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(5):
        kind, length = struct.unpack("<BI", head)
        sink.write(answer(read_json if kind & 0x7F == 1 else read_uri, source.read(length)))
        if kind & 0x80:
            sink.flush()


main()
