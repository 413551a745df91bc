"""Real certificates for TLS listeners: an authority of this test run's own, and identities that it signs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

VALID = "1"  # days from now on
EXPIRED = "0"  # from the next second on; OpenSSL 3.5 makes none that ends before it begins
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server shows to prove who it is, and whom to trust to believe it."""

    certificate: Path
    key: Path
    authority: Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        """Make the authority's own key and certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.pem"
        self._folder = folder
        self._key = folder / "ca.key"
        subject = ("-subj", f"/CN=authority of {folder.name}")
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.certificate, "-days", VALID, *subject)

    def identity(self, *names: str, days: str = VALID) -> Identity:
        """Return an identity for names as a certificate has them: "DNS:localhost", "IP:127.0.0.1"."""
        stem = "".join(letter if letter.isalnum() else "-" for letter in "_".join(names)) + days
        certificate, key, request = (self._folder / f"{stem}.{kind}" for kind in ("pem", "key", "csr"))
        alternatives = ("-addext", f"subjectAltName={','.join(names)}")
        _openssl("req", "-new", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", "/CN=a broker", *alternatives)
        signer = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        _openssl(
            "x509", "-req", "-in", request, *signer, "-copy_extensions", "copy", "-days", days, "-out", certificate
        )
        return Identity(certificate, key, self.certificate)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
