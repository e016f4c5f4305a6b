"""Settings as a table: each with name, environment variable, type, unit, default and meaning."""

from __future__ import annotations

from typing import Any

from pydantic_settings import BaseSettings

_TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list, separated by commas",
}


def describe_settings(kind: type[BaseSettings]) -> list[dict[str, Any]]:
    """Return one row per setting of `kind`, in the order of its fields.

    Each row has ``name``, ``environment``, ``type`` (in words), ``unit`` (None: none),
    ``default`` (None: none) and ``help``. A field's ``json_schema_extra`` may hold ``unit``, and
    ``default_text`` where the default depends on the machine.
    """
    document = kind.model_json_schema()
    properties, definitions = document["properties"], document.get("$defs", {})
    prefix = str(kind.model_config.get("env_prefix", ""))
    rows: list[dict[str, Any]] = []
    for name, field in kind.model_fields.items():
        schema = properties[name]
        default = schema.get("default_text", field.get_default(call_default_factory=True))
        rows.append(
            {
                "name": name,
                "environment": f"{prefix}{name.upper()}",
                "type": _type_of(schema, definitions),
                "unit": schema.get("unit"),
                "default": ",".join(default) if isinstance(default, tuple) else default,
                "help": field.description,
            }
        )
    return rows


def _type_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return in words what a setting takes."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return " or ".join(schema["enum"])
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return _type_of(choice, definitions)
    return _TYPES.get(schema.get("type", ""), "text")
