"""Certificates for tests of the cloud's services: EC keys, made in a millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mooring.pki.issuing import (
    issue_device,
    issue_intermediate,
    issue_root,
    issue_verification,
)
from mooring.pki.keys import KeyAlgorithm
from mooring.pki.names import Subject
from mooring.pki.plans import Issued

EC = KeyAlgorithm.EC_P256


def _now(now: datetime | None) -> datetime:
    return now or datetime.now(UTC)


def root(name: str = "quayroot", *, now: datetime | None = None, days: int = 100) -> Issued:
    return issue_root(
        Subject(common_name=name, organization="Quay"), now=_now(now), algorithm=EC, days=days
    )


def intermediate(issuer: Issued, name: str = "quay line a", *, days: int = 100) -> Issued:
    return issue_intermediate(
        Subject(common_name=name, organization="Quay"),
        issuer.as_issuer(),
        now=datetime.now(UTC),
        algorithm=EC,
        days=days,
    )


def device(
    issuer: Issued,
    name: str = "edgegw01",
    *,
    now: datetime | None = None,
    days: int = 50,
    only_common_name: bool = False,
) -> Issued:
    return issue_device(
        Subject(common_name=name, organization=None if only_common_name else "Quay"),
        issuer.as_issuer(),
        now=_now(now),
        algorithm=EC,
        days=days,
        any_subject=True,
    )


def verification(code: str, issuer: Issued, *, now: datetime | None = None) -> Issued:
    return issue_verification(code, issuer.as_issuer(), now=_now(now), algorithm=EC)


def expired_device(issuer_days: int = 3000) -> tuple[Issued, Issued]:
    """Return a root and a device's certificate that ended a month ago."""
    long_ago = datetime.now(UTC) - timedelta(days=400)
    top = root("oldroot", now=long_ago, days=issuer_days)
    return top, device(top, now=long_ago, days=370)
