"""Values as plain data, for ``to_dict()`` and what is printed as JSON from it."""

from __future__ import annotations

import os
from typing import Any, cast

import attrs


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Turn a value into dicts, lists, strings, numbers, booleans and None."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if attrs.has(type(value)):
        return fields_of(value)
    if isinstance(value, (os.PathLike, bytes)):
        return os.fsdecode(value)
    if isinstance(value, (list, tuple, frozenset)):
        return [plain(item) for item in value]
    return value


def fields_of(value: object) -> dict[str, Any]:
    """Return the public fields of an attrs value as plain data, in their order."""
    fields = attrs.fields(cast("type[attrs.AttrsInstance]", type(value)))
    return {field.name: plain(getattr(value, field.name)) for field in fields if field.repr}
