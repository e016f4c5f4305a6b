"""SAS tokens against vectors that were computed apart from this code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure import sas
from mooring.protocol.azure.errors import (
    AzureError,
    SasExpired,
    SasKeyMalformed,
    SasMalformed,
    SasSignatureWrong,
)
from mooring.protocol.azure.sas import (
    CLOCK_SKEW,
    MAX_TOKEN_CHARS,
    SasToken,
    check_not_expired,
    decode_key,
    derive_device_key,
    encode_key,
    format_sas_token,
    is_signed_by,
    parse_sas_token,
    resource_covers,
    verify_sas_token,
)

# Vectors computed with openssl's HMAC, not with this code.
GROUP_KEY = (
    "npDhi6DS8MepY1sH0fIkcqWl/EXNcTv0spB03NR354Z1yrPB0muAkiKhPV7ATKPefLEMowA1pENi+gcBRqXvUw=="
)
DEVICE_KEY = "4mW3AT8EwPeV0Ux10pbtgsFKQq8idw7GE3Kuh9ZDtaM="
UPPER = (
    "SharedAccessSignature sr=0ne00HAWSER%2Fregistrations%2Fgw-0007"
    "&sig=rqVskk4efxZno887p6ESDEhKDE3BRZVZjq1eaw3jnkE%3D&se=1900000000"
)
LOWER = (
    "SharedAccessSignature sr=0ne00HAWSER%2fregistrations%2fgw-0007"
    "&sig=z%2FdMus3G4WcVcy7zbTyJJu%2FiTUF1%2FUPfOn1DzAGaWrE%3D&se=1900000000"
)
SERVICE_KEY = "aafokEIaxrDtNBA65dC4on09rWofEesEvL4LtOy+2ok="
SERVICE = (
    "SharedAccessSignature sr=dps.hawser.test"
    "&sig=P0tNHogikrOsQByLFWYyoL%2B%2BhyRHvMxVHHZJ3orY0SI%3D&se=1900000000"
)
HUB_DEVICE_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HUB_DEVICE = (
    "SharedAccessSignature sr=hawser-hub.example.net%2Fdevices%2Fdock-07"
    "&sig=PW78vEf%2B33e%2Fvw0rlp8DrxMeplxGDa4tZ%2BUQa3D2%2FWo%3D&se=1893456000"
)
HUB_SERVICE_KEY = "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="
HUB_SERVICE = (
    "SharedAccessSignature sr=hawser-hub.example.net"
    "&sig=Bj6wU%2B69MKTD2A9KJzlQF0VFU3ufADrW7NJirjv0JP8%3D&se=1893456000&skn=service"
)
END = datetime.fromtimestamp(1900000000, UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)

keys = st.binary(min_size=16, max_size=64)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (UPPER, DEVICE_KEY),
        (LOWER, DEVICE_KEY),
        (UPPER + "&skn=registration", DEVICE_KEY),
        (LOWER + "&skn=registration", DEVICE_KEY),
        (SERVICE, SERVICE_KEY),
        (SERVICE + "&skn=provisioningserviceowner", SERVICE_KEY),
        (HUB_DEVICE, HUB_DEVICE_KEY),
        (HUB_SERVICE, HUB_SERVICE_KEY),
        # parts in another order, the scheme in another case, sig with its escapes left out
        (
            (
                "sharedaccesssignature se=1900000000&skn=registration"
                "&sig=rqVskk4efxZno887p6ESDEhKDE3BRZVZjq1eaw3jnkE="
                "&sr=0ne00HAWSER%2Fregistrations%2Fgw-0007&new=x"
            ),
            DEVICE_KEY,
        ),
        (HUB_SERVICE.replace("%2B", "+"), HUB_SERVICE_KEY),
    ],
)
def test_verify_when_vector_passes(text: str, key: str) -> None:
    verify_sas_token(parse_sas_token(text), [decode_key(key)], now=NOW)


def test_verify_when_second_key_signed_passes() -> None:
    verify_sas_token(parse_sas_token(UPPER), [b"other" * 4, decode_key(DEVICE_KEY)], now=NOW)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (UPPER, GROUP_KEY),  # a group's key is no device's key
        (UPPER, SERVICE_KEY),
        # re-encoded sr: the signature covers the bytes as sent
        (UPPER.replace("%2F", "%2f"), DEVICE_KEY),
        (UPPER.replace("gw-0007", "gw-0008"), DEVICE_KEY),
        (UPPER.replace("1900000000", "1900000001"), DEVICE_KEY),
    ],
)
def test_verify_when_another_key_or_text_signed_is_refused(text: str, key: str) -> None:
    with pytest.raises(SasSignatureWrong) as refusal:
        verify_sas_token(parse_sas_token(text), [decode_key(key)], now=NOW)
    assert refusal.value.code == "sas-signature-wrong"


def test_verify_when_there_is_no_key_is_refused() -> None:
    with pytest.raises(SasSignatureWrong):
        verify_sas_token(parse_sas_token(UPPER), [], now=NOW)


def test_verify_when_ended_within_skew_passes_and_beyond_is_refused() -> None:
    token = parse_sas_token(UPPER)
    key = [decode_key(DEVICE_KEY)]
    verify_sas_token(token, key, now=END + CLOCK_SKEW)
    with pytest.raises(SasExpired):
        verify_sas_token(token, key, now=END + CLOCK_SKEW + timedelta(seconds=1))


def test_verify_when_expired_and_wrong_does_not_tell_that_it_expired() -> None:
    with pytest.raises(SasSignatureWrong):
        verify_sas_token(parse_sas_token(UPPER), [b"k" * 16], now=END + timedelta(days=1))


def test_verify_when_any_key_fits_tries_all_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    compare = sas.hmac.compare_digest
    monkeypatch.setattr(
        sas.hmac, "compare_digest", lambda a, b: compared.append(a) or compare(a, b)
    )
    verify_sas_token(parse_sas_token(UPPER), [decode_key(DEVICE_KEY), b"k" * 16], now=NOW)
    assert len(compared) == 2


def test_verify_when_time_is_naive_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        verify_sas_token(parse_sas_token(UPPER), [], now=NOW.replace(tzinfo=None))


def test_verify_when_se_is_beyond_any_calendar_passes() -> None:
    token = SasToken("h", sas._sign(b"k" * 16, "h", 999_999_999_999), 999_999_999_999)
    verify_sas_token(token, [b"k" * 16], now=NOW)


def test_parse_gives_decoded_resource_and_policy() -> None:
    token = parse_sas_token(HUB_SERVICE.replace("skn=service", "skn=my%20policy"))
    assert token.resource == "hawser-hub.example.net"
    assert token.policy == "my policy"
    assert token.expires_at_s == 1893456000
    assert parse_sas_token(LOWER).resource == "0ne00HAWSER/registrations/gw-0007"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "begin"),
        ("Bearer abc", "begin"),
        ("SharedAccessSignature", "no sr"),
        ("SharedAccessSignature sr=&sig=YQ==&se=1", "no sr"),
        ("SharedAccessSignature sr=h&se=1", "no sig"),
        ("SharedAccessSignature sr=h&sig=YQ==", "no se"),
        ("SharedAccessSignature sr=h&sr=i&sig=YQ==&se=1", "twice"),
        ("SharedAccessSignature sr=h&sig=YQ==&se=soon", "se"),
        ("SharedAccessSignature sr=h&sig=YQ==&se=-1", "se"),
        ("SharedAccessSignature sr=h&sig=YQ==&se=٣", "se"),
        ("SharedAccessSignature sr=h&sig=YQ==&se=1234567890123", "se"),
        ("SharedAccessSignature sr=h&sig=***&se=1", "base64"),
        ("SharedAccessSignature sr=h&sig=%FF&se=1", "base64"),
        ("SharedAccessSignature sr=h\x00&sig=YQ==&se=1", "control"),
        ("SharedAccessSignature sr=" + "h" * MAX_TOKEN_CHARS, "at most"),
    ],
)
def test_parse_when_a_part_is_broken_names_it_without_the_token(text: str, named: str) -> None:
    with pytest.raises(SasMalformed, match=named) as refusal:
        parse_sas_token(text)
    assert "YQ==" not in refusal.value.message


def test_device_key_when_derived_matches_the_vector() -> None:
    assert encode_key(derive_device_key(decode_key(GROUP_KEY), "gw-0007")) == DEVICE_KEY


def test_format_when_vectors_are_given_gives_their_bytes() -> None:
    key = decode_key(DEVICE_KEY)
    assert format_sas_token("0ne00HAWSER/registrations/gw-0007", key, expires_at=END) == UPPER
    hub_end = datetime.fromtimestamp(1893456000.9, UTC)
    assert (
        format_sas_token(
            "hawser-hub.example.net",
            decode_key(HUB_SERVICE_KEY),
            expires_at=hub_end,
            policy="service",
        )
        == HUB_SERVICE
    )


def test_format_when_time_is_naive_or_resource_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        format_sas_token("h", b"k" * 16, expires_at=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="resource"):
        format_sas_token("", b"k" * 16, expires_at=NOW)


@given(st.text(min_size=1, max_size=30), keys, st.none() | st.text(min_size=1, max_size=10))
def test_token_when_formatted_parses_and_verifies(
    resource: str, key: bytes, policy: str | None
) -> None:
    token = parse_sas_token(format_sas_token(resource, key, expires_at=END, policy=policy))
    assert (token.resource, token.policy) == (resource, policy)
    verify_sas_token(token, [key], now=NOW)


@given(st.sampled_from(["", "SharedAccessSignature "]), st.text(max_size=60))
def test_parse_when_text_is_arbitrary_raises_nothing_else(prefix: str, text: str) -> None:
    try:
        verify_sas_token(parse_sas_token(prefix + text), [b"k" * 16], now=NOW)
    except AzureError as error:
        assert error.remedy  # noqa: PT017  each outcome is allowed, each must help


@pytest.mark.parametrize(
    ("resource", "wanted", "ignore_case", "covers"),
    [
        ("h/a", "h/a", False, True),
        ("h/a", "h/a/b", False, True),
        ("h/a/", "h/a/b", False, True),
        ("H/a", "h/a/b", False, True),
        ("h", "h/devices/d", False, True),
        ("h/a", "h/ab", False, False),
        ("h/a/b", "h/a", False, False),
        ("h/A", "h/a", False, False),
        ("h/A", "h/a", True, True),
        ("", "h", False, False),
        ("other", "h/a", False, False),
    ],
)
def test_resource_covers_by_whole_segments(
    resource: str, wanted: str, ignore_case: bool, covers: bool
) -> None:
    assert resource_covers(resource, wanted, ignore_case=ignore_case) is covers


@pytest.mark.parametrize("text", ["", "***", "YQ==", "é", encode_key(b"k" * 65), " " + DEVICE_KEY])
def test_key_when_not_base64_of_allowed_length_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(SasKeyMalformed) as refusal:
        decode_key(text, field="primaryKey")
    assert refusal.value.message.startswith("primaryKey")
    assert not text or text not in refusal.value.message


def test_who_signed_is_told_apart_from_when_it_ends() -> None:
    token = parse_sas_token(UPPER)

    assert is_signed_by(token, decode_key(DEVICE_KEY))
    assert not is_signed_by(token, decode_key(GROUP_KEY))
    check_not_expired(token, now=END + CLOCK_SKEW)
    with pytest.raises(SasExpired):
        check_not_expired(token, now=END + CLOCK_SKEW + timedelta(seconds=1))
    with pytest.raises(ValueError, match="time zone"):
        check_not_expired(token, now=END.replace(tzinfo=None))
