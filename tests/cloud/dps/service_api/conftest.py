"""One cloud for a module, and a client of its service API."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import authority
from tests.support.cloud import CloudThread
from tests.support.service_api import ServiceClient, service_client


@pytest.fixture
def api(cloud: CloudThread) -> Iterator[ServiceClient]:
    """Return a client with the rights of the owner's policy."""
    with service_client(cloud) as client:
        yield client


@pytest.fixture
def name() -> str:
    """Return a fresh id."""
    return f"gw{secrets.token_hex(4)}"


@pytest.fixture
def x509_body() -> Callable[..., dict[str, Any]]:
    """Return a maker of individual enrollments with a certificate."""

    def make(registration_id: str, **members: Any) -> dict[str, Any]:
        certificate = authority.root(registration_id).certificate_pem
        certificates = {"primary": {"certificate": certificate}}
        return {
            "registrationId": registration_id,
            "attestation": {"type": "x509", "x509": {"clientCertificates": certificates}},
            **members,
        }

    return make
