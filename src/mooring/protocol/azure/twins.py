"""Device twins: what may stand in one, how a patch changes it, and how it is spelled.

A section of a twin (tags, desired or reported properties) is a JSON object. It is changed by merge
patches (RFC 7396): null deletes, objects merge, arrays and all else replace. Desired and reported
properties have a version and, key by key, metadata on when and by which version each was written.
Azure: "Understand and use device twins in IoT Hub".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mooring.protocol.azure.errors import PayloadMalformed, TwinTooLarge, quoted
from mooring.protocol.azure.json_documents import (
    JsonObject,
    JsonValue,
    decode_object,
    encode_json,
)
from mooring.protocol.azure.json_members import Members
from mooring.protocol.azure.timestamps import format_timestamp

MAX_TAGS_SIZE = 8 * 1024
"""Azure: size of tags, by `size_of`."""

MAX_PROPERTIES_SIZE = 32 * 1024
"""Azure: size of desired and of reported properties each, by `size_of`."""

MAX_ENCODED_BYTES = 512 * 1024
"""A section's JSON text. The size rule counts nothing for empty strings, lists and objects, so it
alone would let a twin grow without bound. Whatever text fills a section fits: 32 Ki characters at
the 12 bytes of ``\\ud83d\\ude00``."""

MAX_KEYS = 8 * 1024
"""Keys in a section, at every level outside of arrays: each has metadata of some 60 bytes, which
every write reads and writes anew. The size rule leaves room for 6,500 that have values."""

MAX_PATCH_BYTES = 256 * 1024
"""A patch as text: the largest MQTT packet that the hub takes."""

MAX_PATCH_VALUES = 16 * 1024
"""Values in a patch. Those that fill a section of 32 KB are 8 Ki at most, of 4 bytes each; empty
texts, lists and objects count nothing there, and each costs time all the same."""

MAX_DEPTH = 10
"""Azure: objects within one another, the section itself not counted."""

MAX_KEY_BYTES = 1024
"""Azure: UTF-8 of a key."""

MAX_STRING_BYTES = 4096
"""Azure: UTF-8 of a text."""

MIN_INTEGER = -4503599627370496
MAX_INTEGER = 4503599627370495
"""Azure: whole numbers that a twin holds (2^52)."""

FIRST_VERSION = 2
"""Of a twin, when its device is created (Azure: device lifecycle event)."""

FIRST_SECTION_VERSION = 1
"""Of desired and reported properties, when the device is created."""

FIRST_CHANGE = 1
"""Of the counter in a twin's etag, when the device is created."""

_FORBIDDEN_IN_KEY = re.compile(r"[\x00-\x1f\x7f-\x9f.$ ]")
_UTF8_BYTES_PER_CHAR = 4
_SIZE_PER_CHAR = 4
"""Most that one character of compact JSON adds to a size: a digit and its comma count 8."""
_SHOWN_BY_THE_HUB = frozenset({"$metadata", "$version"})


class TwinSection(StrEnum):
    """The parts of a twin that hold free-form content; the value is its path in the document."""

    TAGS = "tags"
    DESIRED = "properties.desired"
    REPORTED = "properties.reported"

    @property
    def max_size(self) -> int:
        """Return the largest size, by `size_of`."""
        return MAX_TAGS_SIZE if self is TwinSection.TAGS else MAX_PROPERTIES_SIZE


@dataclass(frozen=True, slots=True)
class TwinProperties:
    """Desired or reported properties: values, metadata of each key, version."""

    values: JsonObject
    metadata: JsonObject
    version: int


@dataclass(frozen=True, slots=True)
class TwinUpdate:
    """What a back end sends to change a twin; None for a section that it leaves alone."""

    tags: JsonObject | None
    desired: JsonObject | None


# -- what may stand in a twin -----------------------------------------------------------------


def read_reported_patch(data: bytes) -> JsonObject:
    """Return the patch that a device sends.

    Raises:
        PayloadMalformed: No JSON object, or one that breaks a rule; names the key.
        TwinTooLarge: It would not fit into any twin.
    """
    patch = decode_object(data, max_bytes=MAX_PATCH_BYTES, max_values=MAX_PATCH_VALUES)
    return check_patch(patch, TwinSection.REPORTED)


def read_twin_update(document: JsonObject) -> TwinUpdate:
    """Return what a back end asks for by a twin, or a part of one; `check_patch` looks into it.

    Everything that only the hub writes is ignored, since tools send back a whole twin that they
    read: ids, etag, reported properties, ``$metadata`` and ``$version`` of desired ones. A section
    that is null is absent.

    Raises:
        PayloadMalformed: A member is of the wrong type; names it.
    """
    members = Members(document)
    properties = members.members("properties")
    desired = None if properties is None else properties.mapping("desired")
    if desired is not None and not _SHOWN_BY_THE_HUB.isdisjoint(desired):
        desired = {key: value for key, value in desired.items() if key not in _SHOWN_BY_THE_HUB}
    return TwinUpdate(members.mapping("tags"), desired)


def check_patch(patch: JsonObject, section: TwinSection) -> JsonObject:
    """Return `patch` if it keeps the rules; whether the result fits shows only after merging.

    Raises:
        PayloadMalformed: A key or a value breaks a rule; names it.
        TwinTooLarge: It has more in it than the section may hold.
    """
    _check_object(patch, section.value, 0)
    size = size_of(patch)
    if size > section.max_size:
        raise _too_large(section, size)
    return patch


def check_section(values: JsonObject, section: TwinSection) -> JsonObject:
    """Return `values` if a section may hold just these. Raises as `check_patch`."""
    encode_section(check_patch(values, section), section)
    return values


def size_of(value: JsonValue) -> int:
    """Return the size of a value as Azure counts it, in characters.

    Keys and texts by their characters (control characters too, unlike Azure's rule), numbers 8,
    booleans 4, null nothing; what is in objects and arrays is added up.
    """
    if isinstance(value, str):
        return len(value)
    if isinstance(value, bool):
        return 4
    if isinstance(value, int | float):
        return 8
    if isinstance(value, Mapping):
        return sum(len(key) + size_of(item) for key, item in value.items())
    return 0 if value is None else sum(size_of(item) for item in value)


def encode_section(values: JsonObject, section: TwinSection) -> str:
    """Return the JSON text of a section.

    Raises:
        TwinTooLarge: It has outgrown its limit.
    """
    text = encode_json(values).decode("ascii")
    if len(text) * _SIZE_PER_CHAR > section.max_size:
        size = size_of(values)
        if size > section.max_size:
            raise _too_large(section, size)
        if len(text) > MAX_ENCODED_BYTES:
            raise TwinTooLarge(
                f"{section} would have {len(text)} bytes of JSON; at most {MAX_ENCODED_BYTES} "
                "are kept",
                remedy="Delete what is not needed (null), or keep it elsewhere.",
                field=section.value,
            )
        # A look at the text first: most large sections hold few keys.
        if text.count('":') > MAX_KEYS and (keys := _count_keys(values)) > MAX_KEYS:
            raise TwinTooLarge(
                f"{section} would have {keys} keys; at most {MAX_KEYS} are kept",
                remedy="Delete what is not needed (null), or keep it elsewhere.",
                field=section.value,
            )
    return text


def _count_keys(values: JsonObject) -> int:
    return len(values) + sum(
        _count_keys(value) for value in values.values() if isinstance(value, Mapping)
    )


# -- merging ----------------------------------------------------------------------------------


def merge_values(values: JsonObject, patch: JsonObject) -> JsonObject:
    """Return `values` changed by `patch` (RFC 7396). Costs what the changed levels hold."""
    merged = dict(values)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            before = merged.get(key)
            merged[key] = merge_values(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def merge_properties(
    before: TwinProperties, patch: JsonObject, stamp: JsonObject
) -> TwinProperties:
    """Return `before` changed by `patch`, of the next version.

    `stamp` is `reported_stamp` or, for that version, `desired_stamp`.
    """
    return TwinProperties(
        merge_values(before.values, patch),
        _merge_metadata(before.metadata, patch, stamp),
        before.version + 1,
    )


def replace_properties(
    before: TwinProperties, values: JsonObject, stamp: JsonObject
) -> TwinProperties:
    """Return the properties that hold `values` only, nulls left out, of the next version."""
    return TwinProperties(
        merge_values({}, values), _merge_metadata({}, values, stamp), before.version + 1
    )


def first_properties(values: JsonObject, created_at: datetime, *, desired: bool) -> TwinProperties:
    """Return the properties of a device that was created at `created_at` with `values`.

    Nulls, and keys with a dollar in front, are left out.
    """
    kept = _without_dollars(values)
    stamp = (
        desired_stamp(created_at, FIRST_SECTION_VERSION)
        if desired and kept
        else reported_stamp(created_at)
    )
    return TwinProperties(
        merge_values({}, kept), _merge_metadata({}, kept, stamp), FIRST_SECTION_VERSION
    )


def first_tags(values: JsonObject) -> JsonObject:
    """Return the tags of a device that was created with `values`, as `first_properties`."""
    return merge_values({}, _without_dollars(values))


def reported_stamp(at: datetime) -> JsonObject:
    """Return the metadata of a reported property written at `at`."""
    return {"$lastUpdated": format_timestamp(at)}


def desired_stamp(at: datetime, version: int) -> JsonObject:
    """Return the metadata of a desired property written at `at` by `version`."""
    return {"$lastUpdated": format_timestamp(at), "$lastUpdatedVersion": version}


def patch_metadata(patch: JsonObject, stamp: JsonObject) -> JsonObject:
    """Return metadata for every key of `patch`, deleted ones too (twin change events)."""
    return {
        **stamp,
        **{
            key: patch_metadata(value, stamp) if isinstance(value, Mapping) else stamp
            for key, value in patch.items()
        },
    }


# -- spelling ---------------------------------------------------------------------------------


def format_twin_etag(change: int) -> str:
    """Return the etag for the counter of changes to tags and desired properties."""
    return base64.b64encode(change.to_bytes(8, "big")).decode("ascii")


def with_version(text: str, version: int) -> str:
    """Return a section's JSON text with ``$version`` as its last member."""
    comma = "" if text == "{}" else ","
    return f'{text[:-1]}{comma}"$version":{version}}}'


def format_device_document(
    desired: str, desired_version: int, reported: str, reported_version: int
) -> bytes:
    """Return the body that answers a device's GET, from the sections' JSON texts."""
    return (
        f'{{"desired":{with_version(desired, desired_version)},'
        f'"reported":{with_version(reported, reported_version)}}}'
    ).encode("ascii")


def format_desired_notification(patch: JsonObject, version: int) -> bytes:
    """Return the body that tells a device of changed desired properties, nulls included."""
    return encode_json({**patch, "$version": version})


def properties_to_json(properties: TwinProperties) -> dict[str, JsonValue]:
    """Return properties as the service API shows them."""
    return {
        **properties.values,
        "$metadata": properties.metadata,
        "$version": properties.version,
    }


# -- rules ------------------------------------------------------------------------------------


def _check_object(value: JsonObject, path: str, depth: int, *, in_array: bool = False) -> None:
    for key, item in value.items():
        _check_key(key, path)
        if item is None:
            if in_array:
                raise _null_in_array(f"{path}.{key}")
        else:
            _check_value(item, f"{path}.{key}", depth, in_array=in_array)


def _check_value(value: JsonValue, path: str, depth: int, *, in_array: bool) -> None:
    if isinstance(value, str):
        # The first comparison spares the encoding of nearly all texts.
        if len(value) * _UTF8_BYTES_PER_CHAR > MAX_STRING_BYTES and (
            len(value.encode()) > MAX_STRING_BYTES
        ):
            raise _invalid(
                path, f"is a text above {MAX_STRING_BYTES} bytes", "Shorten it, or split it up."
            )
    elif isinstance(value, bool | float):
        pass
    elif isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise _invalid(
                path,
                f"is a whole number outside {MIN_INTEGER} to {MAX_INTEGER}",
                "Send it as a text.",
            )
    elif isinstance(value, Mapping):
        _check_depth(path, depth)
        _check_object(value, path, depth + 1, in_array=in_array)
    elif value is None:
        raise _null_in_array(path)
    else:
        _check_depth(path, depth)
        for item in value:
            _check_value(item, f"{path}[]", depth + 1, in_array=True)


def _check_depth(path: str, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise _invalid(path, f"is nested deeper than {MAX_DEPTH} levels", "Make it flatter.")


def _check_key(key: str, path: str) -> None:
    found = _FORBIDDEN_IN_KEY.search(key)
    if found is not None:
        raise PayloadMalformed(
            f"key {quoted(key)} in {_shown(path)} has {quoted(found[0])} in it",
            remedy="Use keys without control characters, full stop, dollar sign and space.",
            field=_shown(path),
        )
    if len(key) * _UTF8_BYTES_PER_CHAR > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        raise PayloadMalformed(
            f"key {quoted(key)} in {_shown(path)} has more than {MAX_KEY_BYTES} bytes",
            remedy="Shorten it.",
            field=_shown(path),
        )


def _null_in_array(path: str) -> PayloadMalformed:
    return _invalid(
        path, "is null within an array", "Leave it out: null deletes keys, outside of arrays only."
    )


def _invalid(path: str, fault: str, remedy: str) -> PayloadMalformed:
    return PayloadMalformed(f"{_shown(path)} {fault}", remedy=remedy, field=_shown(path))


def _shown(path: str) -> str:
    """Return a path for a message: bounded, since a device chose its keys."""
    return path if len(path) <= 100 else f"{path[:100]}…"


def _too_large(section: TwinSection, size: int) -> TwinTooLarge:
    return TwinTooLarge(
        f"{section} would have a size of {size}; at most {section.max_size} are kept",
        remedy="Delete what is not needed (null), or keep it elsewhere.",
        field=section.value,
    )


def _merge_metadata(metadata: JsonObject, patch: JsonObject, stamp: JsonObject) -> JsonObject:
    """Return `metadata` of an object that `patch` changes.

    No key of a twin begins with a dollar, so none is taken for a stamp.
    """
    merged = {**metadata, **stamp}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            before = merged.get(key)
            merged[key] = _merge_metadata(
                before if isinstance(before, Mapping) else {}, value, stamp
            )
        else:
            merged[key] = stamp
    return merged


def _without_dollars(values: JsonObject) -> JsonObject:
    return {
        key: _without_dollars(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if not key.startswith("$")
    }
