"""Putting the certificates of a file into the order of a chain."""

from __future__ import annotations

from mooring.pki.certificates import Certificate, certificate_der, format_name
from mooring.pki.chainfacts import has_signed
from mooring.pki.errors import CertificatesUnrelated


def leaf_first(certificates: list[Certificate], field: str) -> list[Certificate]:
    """Return `certificates` as a chain: leaf first, then its issuer, and so on upwards.

    An order that is right already is kept.

    Raises:
        CertificatesUnrelated: They do not make up one chain.
    """
    if len(certificates) == 1:
        return certificates
    issuers = {
        certificate_der(child): [
            parent for parent in certificates if parent != child and has_signed(parent, child)
        ]
        for child in certificates
    }
    parents = [parent for found in issuers.values() for parent in found]
    leaves = [certificate for certificate in certificates if certificate not in parents]
    # Two editions of one self-signed root vouch for each other: keep the first one's place.
    leaf = leaves[0] if leaves else certificates[0]
    ordered = [leaf]
    for certificate in ordered:
        ordered += [
            parent for parent in issuers[certificate_der(certificate)] if parent not in ordered
        ]
    strangers = [certificate for certificate in certificates if certificate not in ordered]
    if strangers:
        raise CertificatesUnrelated(
            f"{field}: {format_name(strangers[0].subject)!r} is not in the chain of "
            f"{format_name(leaf.subject)!r}.",
            "Paste one device certificate, followed by the certificates that issued it.",
            field=field,
        )
    return ordered
