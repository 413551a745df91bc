"""When certificates run out, as it is read from them."""

from __future__ import annotations

import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.guest.certificate import first, runs_out
from tests.certificates import Authority


@pytest.mark.parametrize("days", ["1", "3650", "20000"])  # the last one is beyond 2049, which is written otherwise
def test_it_is_what_openssl_says(tmp_path: Path, days: str) -> None:
    identity = Authority(tmp_path).identity("DNS:localhost", days=days)
    command = ("openssl", "x509", "-enddate", "-noout", "-in", identity.certificate)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert runs_out(first(identity.certificate.read_text())) == ssl.cert_time_to_seconds(said.partition("=")[2].strip())


def test_of_a_file_with_a_key_and_a_chain_the_first_certificate_counts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.identity("DNS:localhost", days="30")
    chain = "".join(path.read_text() for path in (own.key, own.certificate, authority.certificate))
    assert runs_out(first(chain)) == runs_out(first(own.certificate.read_text()))


def test_a_file_without_a_certificate_is_said_to_be_one() -> None:
    with pytest.raises(ValueError, match="no certificate"):
        first("-----BEGIN PRIVATE KEY-----\n")


@given(st.binary(max_size=80))
def test_what_is_no_certificate_raises_nothing_else(data: bytes) -> None:
    with suppress(ValueError):
        runs_out(data)


def test_a_certificate_that_is_cut_off_raises_nothing_else(tmp_path: Path) -> None:
    der = first(Authority(tmp_path).certificate.read_text())
    for end in range(60):
        with pytest.raises(ValueError):  # noqa: PT011 - which of them, is of no matter
            runs_out(der[:end])
