"""A throwaway certificate authority, so that software which speaks https alone can be led to a sandbox."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make(folder: Path, hosts: list[str]) -> tuple[str, str, str]:
    """(the authority's certificate, a certificate for `hosts` and 127.0.0.1, its key) as files in `folder`."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Throwaway")])
    now = dt.datetime.now(dt.UTC)

    def built(
        subject: x509.Name, public: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=365))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority_key, hashes.SHA256())

    authority = built(
        name,
        authority_key.public_key(),
        x509.BasicConstraints(ca=True, path_length=0),
        x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()),
    )
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    leaf = built(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]),
        key.public_key(),
        x509.SubjectAlternativeName([*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
    )
    files = {
        "authority.pem": authority.public_bytes(serialization.Encoding.PEM),
        "host.pem": leaf.public_bytes(serialization.Encoding.PEM),
        "host.key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    }
    for file, data in files.items():
        (folder / file).write_bytes(data)
    return str(folder / "authority.pem"), str(folder / "host.pem"), str(folder / "host.key")
