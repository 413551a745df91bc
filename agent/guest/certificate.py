"""When a certificate runs out, read from its DER form (RFC 5280): Python's ssl tells it of a peer that it has checked alone."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime

_PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION = 0x30, 0xA0
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime and GeneralizedTime


def first(pem: str) -> bytes:
    """Return the first certificate of a file, which is that of its owner, as DER; raises ValueError where there is none."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("there is no certificate")
    return ssl.PEM_cert_to_DER_cert(found.group())


def runs_out(der: bytes) -> float:
    """Return when a certificate's time is over, in seconds since the epoch; raises ValueError for anything else."""
    fields = _contents(_contents(der, _SEQUENCE), _SEQUENCE)
    tag, _, rest = _element(fields)
    if tag == _VERSION:
        _, _, rest = _element(rest)  # the serial number is behind it
    for _ in range(2):  # the algorithm and the issuer
        _, _, rest = _element(rest)
    _, _, end = _element(_contents(rest, _SEQUENCE))
    tag, text, _ = _element(end)
    if tag not in _TIMES:
        raise ValueError(f"{tag:#x} is no time")
    when = datetime.strptime(text.decode("ascii"), _TIMES[tag]).replace(tzinfo=UTC)
    # Two digits are a year from 1950 on; Python takes those from 69 on for the last century.
    return (when.replace(year=when.year - 100) if tag == 0x17 and when.year >= 2050 else when).timestamp()


def _contents(data: bytes, wanted: int) -> bytes:
    tag, contents, _ = _element(data)
    if tag != wanted:
        raise ValueError(f"{tag:#x} stands where {wanted:#x} was expected")
    return contents


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and contents of the first element, and what is behind it."""
    if len(data) < 2:
        raise ValueError("it ends too early")
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("it ends too early")
    return tag, data[start : start + size], data[start + size :]
