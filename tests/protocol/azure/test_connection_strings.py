"""Connection strings."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.protocol.azure.connection_strings import (
    MAX_CONNECTION_STRING_CHARS,
    ConnectionString,
    format_connection_string,
    parse_connection_string,
)
from mooring.protocol.azure.errors import ConnectionStringMalformed

values = st.none() | st.text("abcXYZ019+/=.-", min_size=1, max_size=20)


def test_parse_when_service_string_keeps_the_padding_of_the_key() -> None:
    parts = parse_connection_string(
        "HostName=dps.hawser.test;SharedAccessKeyName=owner;SharedAccessKey=YWJj+/Y="
    )
    assert parts == ConnectionString(
        host_name="dps.hawser.test", shared_access_key_name="owner", shared_access_key="YWJj+/Y="
    )


def test_parse_when_device_string_of_x509_reads_it_whatever_the_case() -> None:
    parts = parse_connection_string(" hostname=h:8883 ; DEVICEID=d;x509=True;Unknown=1;\n")
    assert parts == ConnectionString(host_name="h:8883", device_id="d", x509=True)


def test_repr_when_printed_hides_the_secrets() -> None:
    parts = parse_connection_string("HostName=h;SharedAccessKey=c2VjcmV0;SharedAccessSignature=sr")
    assert "c2VjcmV0" not in repr(parts)
    assert "sr" not in repr(parts).replace("shared", "")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "HostName"),
        ("DeviceId=d;SharedAccessKey=c2VjcmV0", "HostName"),
        ("HostName=;DeviceId=d", "HostName"),
        ("HostName=h;c2VjcmV0", "part 2"),
        ("HostName=h;hostname=c2VjcmV0", "HostName twice"),
        ("x509=true;x509=true;HostName=h", "x509 twice"),
        ("HostName=" + "c2VjcmV0" * MAX_CONNECTION_STRING_CHARS, "characters"),
    ],
)
def test_parse_when_broken_names_the_fault_without_the_values(text: str, named: str) -> None:
    with pytest.raises(ConnectionStringMalformed, match=named) as refusal:
        parse_connection_string(text)
    assert "c2VjcmV0" not in refusal.value.message


def test_format_when_value_holds_a_semicolon_is_refused() -> None:
    with pytest.raises(ConnectionStringMalformed, match="HostName"):
        format_connection_string(ConnectionString(host_name="h;i"))


def test_format_when_event_hub_string_begins_with_its_endpoint() -> None:
    parts = ConnectionString(
        endpoint="sb://h/",
        shared_access_key_name="service",
        shared_access_key="a2V5",
        entity_path="hub1",
    )
    assert format_connection_string(parts) == (
        "Endpoint=sb://h/;SharedAccessKeyName=service;SharedAccessKey=a2V5;EntityPath=hub1"
    )


@given(
    st.builds(
        ConnectionString,
        host_name=values.filter(bool),
        device_id=values,
        module_id=values,
        shared_access_key_name=values,
        shared_access_key=values,
        shared_access_signature=values,
        gateway_host_name=values,
        x509=st.booleans(),
        endpoint=values,
        entity_path=values,
    )
)
def test_connection_string_when_formatted_parses_back(parts: ConnectionString) -> None:
    assert parse_connection_string(format_connection_string(parts)) == parts


@given(st.text(max_size=60) | st.text("HostName=;x509", max_size=60))
def test_parse_when_text_is_arbitrary_raises_nothing_else(text: str) -> None:
    with contextlib.suppress(ConnectionStringMalformed):
        parse_connection_string(text)
