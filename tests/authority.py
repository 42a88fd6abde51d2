"""Certificates made for one test: an authority, and the files of whom it has signed."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PLAIN = NoEncryption()
ENCRYPTED = BestAvailableEncryption(b"passphrase")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str = "tls") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.crt").write_bytes(self.certificate)
        (folder / f"{name}.key").write_bytes(self.key)


class Authority:
    """Signs certificates; ``pem`` is its own."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key(), -1, 365)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def pair(
        self,
        *names: x509.GeneralName,
        subject: x509.Name = x509.Name([]),  # noqa: B008 - frozen
        begins: float = -1,
        ends: float = 90,
        encryption: KeySerializationEncryption = PLAIN,
    ) -> Pair:
        """A certificate for these names, for localhost without any; it begins and ends in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key.public_key(), begins, ends)
        alternatives = x509.SubjectAlternativeName(names or [x509.DNSName("localhost")])
        certificate = builder.add_extension(alternatives, critical=not subject).sign(
            self._key, hashes.SHA256()
        )
        form = (Encoding.PEM, PrivateFormat.PKCS8, encryption)
        return Pair(certificate.public_bytes(Encoding.PEM), key.private_bytes(*form))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, begins: float, ends: float
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY)
