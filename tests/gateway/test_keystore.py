"""Keys at rest, and the trust store."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.support.gateways import self_signed

from mooring.gateway.errors import KeystoreEntryUnusable, TrustRefused, TrustUnknown
from mooring.gateway.keystore.entries import Keystore
from mooring.gateway.keystore.trust import TrustStore
from mooring.pki.certificates import sha256_thumbprint


def test_add_when_done_writes_files_that_only_the_owner_can_read(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keystore")
    entry = keystore.add("AzureDpsX509", "cert", b"key", b"secret")
    for path in [tmp_path / "keystore", *(tmp_path / "keystore").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert entry.read_certificates() == "cert"
    assert entry.read_key() == b"key"
    assert entry.read_passphrase() == b"secret"
    assert keystore.find(entry.entry_id) == entry


def test_entry_when_shown_as_text_holds_no_secret(tmp_path: Path) -> None:
    entry = Keystore(tmp_path).add("pid", "cert", b"KEYTEXT", b"PASSTEXT")
    assert "KEYTEXT" not in repr(entry)
    assert "PASSTEXT" not in repr(entry)


def test_passphrase_when_there_is_none_has_no_file(tmp_path: Path) -> None:
    entry = Keystore(tmp_path).add("pid", "cert", b"key", None)
    assert entry.passphrase_file is None
    assert entry.read_passphrase() is None


def test_find_when_missing_damaged_or_outside_is_refused(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keystore")
    entry = keystore.add("pid", "cert", b"key", None)
    (tmp_path / "outside").mkdir()
    for entry_id in ("pid.000000000000", "../outside", "", "."):
        with pytest.raises(KeystoreEntryUnusable):
            keystore.find(entry_id)
    entry.key_file.unlink()
    with pytest.raises(KeystoreEntryUnusable, match=r"private-key\.pem"):
        keystore.find(entry.entry_id)
    with pytest.raises(KeystoreEntryUnusable, match="Apply"):
        entry.read_key()


def test_collect_when_run_deletes_all_but_what_is_kept(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path)
    kept = keystore.add("pid", "cert", b"key", None)
    gone = keystore.add("pid", "cert", b"key", None)
    assert keystore.collect({kept.entry_id}) == [gone.entry_id]
    assert [path.name for path in tmp_path.iterdir()] == [kept.entry_id]


def test_trust_add_when_pasted_with_stray_text_keeps_a_clean_file(tmp_path: Path) -> None:
    trust = TrustStore(tmp_path)
    device = self_signed("serverca")
    (added,) = trust.add(f"some text\n  {device.certificate_pem}  \n\n")
    assert added.name.startswith("serverca-")
    assert added.file.read_text() == device.certificate_pem
    assert trust.files() == (added.file,)
    assert trust.add(device.certificate_pem) == [added]
    assert [entry.info.sha256_thumbprint for entry in trust.entries()] == [
        sha256_thumbprint(device.certificate)
    ]


def test_trust_add_when_named_again_replaces_what_was_there(tmp_path: Path) -> None:
    trust = TrustStore(tmp_path)
    old, new = self_signed("oldca"), self_signed("newca")
    trust.add(old.certificate_pem, name="cloud")
    trust.add(new.certificate_pem, name="cloud")
    (entry,) = trust.entries()
    assert (entry.name, entry.info.subject_name) == ("cloud", "CN=newca, O=Quay")


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "a" * 101])
def test_trust_add_when_the_name_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrustRefused) as refused:
        TrustStore(tmp_path).add(self_signed().certificate_pem, name=name)
    assert refused.value.field == "name"


def test_trust_add_when_it_is_no_certificate_is_refused(tmp_path: Path) -> None:
    trust = TrustStore(tmp_path)
    for text in ("", "hello", self_signed().key_pem):
        with pytest.raises(TrustRefused) as refused:
            trust.add(text)
        assert refused.value.remedy
    assert trust.entries() == []


def test_trust_remove_when_named_or_by_thumbprint_removes_one(tmp_path: Path) -> None:
    trust = TrustStore(tmp_path)
    first, second = self_signed("oneca"), self_signed("twoca")
    trust.add(first.certificate_pem, name="one")
    trust.add(second.certificate_pem)
    thumbprint = sha256_thumbprint(second.certificate)
    with_colons = ":".join(thumbprint[i : i + 2] for i in range(0, 64, 2)).lower()
    assert [e.info.subject_name for e in trust.remove(with_colons)] == ["CN=twoca, O=Quay"]
    trust.remove("one")
    assert trust.entries() == []
    for name in ("one", thumbprint, "../x"):
        with pytest.raises(TrustUnknown):
            trust.remove(name)


def test_trust_entries_when_a_file_is_damaged_leave_it_out(tmp_path: Path) -> None:
    trust = TrustStore(tmp_path)
    trust.add(self_signed().certificate_pem, name="good")
    (tmp_path / "bad.pem").write_text("no certificate")
    assert [path.name for path in trust.files()] == ["good.pem"]
