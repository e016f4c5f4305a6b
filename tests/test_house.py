"""The rules of the house that import-linter cannot express: each library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "mooring"

HTTP_HOMES = (
    "cloud/api/",
    "gateway/api/",
    "*/api.py",
    "cloud/dps/device_api/",
    "cloud/dps/service_api/",
    "cloud/dps/resource_api/",
    "cloud/hub/device_api/",
    "cloud/hub/resource_api/",
    "cloud/hub/service_api/",
    "cloud/resource_api/",
)
HOMES = {
    "cryptography": ("pki/",),
    "OpenSSL.crypto": ("pki/verifier.py",),
    "OpenSSL": ("transport/", "pki/verifier.py"),
    "ssl": ("transport/",),
    "sqlite3": ("storage/", "cloud/stores/", "gateway/stores/"),
    "sqlalchemy": ("storage/", "cloud/stores/", "gateway/stores/"),
    "alembic": ("storage/", "cloud/stores/", "gateway/stores/"),
    "fastapi": HTTP_HOMES,
    "starlette": HTTP_HOMES,
    "uvicorn": ("cloud/api/", "cloud/frontdoor/", "gateway/api/"),
    "httptools": ("cloud/frontdoor/",),
    "wsproto": ("transport/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "httpx": ("cli/", "cloud/dps/webhook.py", "testing/calls.py"),
    "pytest": ("testing/plugin.py",),
}

SANS_IO = ("socket", "ssl", "asyncio", "time", "logging", "random", "secrets", "threading")
"""What a grammar has no business with."""


def _imports() -> Iterator[tuple[str, str, int]]:
    """Yield (file, imported name, line) for every import of the source."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield name, alias.name, node.lineno
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                for alias in node.names:
                    yield name, f"{node.module}.{alias.name}", node.lineno


def _at_home(file: str, home: str) -> bool:
    return file.endswith(home[1:]) if home.startswith("*") else file.startswith(home)


IMPORTS = list(_imports())


@pytest.mark.parametrize("library", HOMES)
def test_library_outside_its_home_is_not_imported(library: str) -> None:
    strays = [
        f"{file}:{line} imports {name}"
        for file, name, line in IMPORTS
        if (name == library or name.startswith(library + "."))
        and not any(_at_home(file, home) for home in HOMES[library])
    ]

    assert strays == []


def test_protocol_does_no_input_or_output() -> None:
    strays = [
        f"{file}:{line} imports {name}"
        for file, name, line in IMPORTS
        if file.startswith("protocol/") and name.split(".")[0] in SANS_IO
    ]

    assert strays == []


def test_services_of_the_cloud_use_each_others_service_never_the_store() -> None:
    strays = [
        f"{file}:{line} imports {name}"
        for file, name, line in IMPORTS
        for other in ("dps", "hub", "attempts", "accounts")
        if name.startswith(f"mooring.cloud.{other}.store")
        and file.startswith("cloud/")
        and not file.startswith((f"cloud/{other}/", "cloud/stores/", "cloud/application.py"))
    ]

    assert strays == []


def test_domain_of_the_cloud_does_not_import_its_stores() -> None:
    strays = [
        f"{file}:{line} imports {name}"
        for file, name, line in IMPORTS
        if name.startswith("mooring.cloud.stores")
        and not file.startswith(("cloud/stores/", "cloud/application.py"))
    ]

    assert strays == []
