"""docs/json.md and docs/errors.md: their tables are those of the code."""

from __future__ import annotations

import builtins
import errno
import json
import re
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs
import pytest

import ntt_loops
from ntt_loops import errors
from ntt_loops._attachment.holders import Kind
from ntt_loops._checkup.values import CheckStatus
from ntt_loops._ledger.last_sweep import SweepOutcome
from ntt_loops._medium.reports import FoundBy, Reason
from ntt_loops._mounted_medium.values import Layout, Status
from ntt_loops.cli.failures import status_of
from tests.support import pages

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = (pages.ROOT / "docs" / "json.md").read_text(encoding="utf-8")
ERRORS = (pages.ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", JSON, re.MULTILINE | re.DOTALL))
#: The sections that tell a value of the library, and what its ``to_dict`` adds to the fields.
VALUES: dict[str, tuple[type, set[str]]] = {
    "Device": (ntt_loops.DeviceState, set()),
    "Holder": (ntt_loops.Holder, set()),
    "LoopDevice": (ntt_loops.LoopDevice, set()),
    "MountedMedium": (ntt_loops.MountedMedium, set()),
    "MountedPartition": (ntt_loops.MountedPartition, set()),
    "ReleaseReport": (ntt_loops.ReleaseReport, {"freed_bytes"}),
    "ReleasedDevice": (ntt_loops.ReleasedDevice, set()),
    "SweepReport": (ntt_loops.SweepReport, {"freed_bytes"}),
    "KeptDevice": (ntt_loops.KeptDevice, set()),
    "ForgottenRecord": (ntt_loops.ForgottenRecord, set()),
    "RescueReport": (ntt_loops.RescueReport, set()),
    "LostBytes": (ntt_loops.LostBytes, set()),
    "MachineReport": (ntt_loops.MachineReport, {"keeps_promises"}),
    "Check": (ntt_loops.Check, set()),
    "LastSweep": (ntt_loops.LastSweep, set()),
}


def rows(section: str) -> dict[str, str]:
    """Return the names in a section's first table, with their types."""
    table = re.search(r"^\| name .*?(?=\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    assert table is not None
    found = re.findall(r"^\| (`.*?`) \| (.*?) \|", table[0], re.MULTILINE)
    return {name: kind for names, kind in found for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.parametrize("section", VALUES)
def test_a_table_has_the_names_of_its_value(section: str) -> None:
    """All that ``to_dict`` returns, and no other."""
    cls, more = VALUES[section]
    fields = {field.name for field in attrs.fields(cls) if field.repr}
    assert set(rows(SECTIONS[section])) == fields | more


@pytest.mark.parametrize("section", VALUES)
def test_null_is_where_the_code_has_none(section: str) -> None:
    """A type has "or null" if the annotation has "None", and only then."""
    cls, _ = VALUES[section]
    for field in attrs.fields(cls):
        if field.repr:
            assert rows(SECTIONS[section])[field.name].endswith("or null") == ("None" in str(field.type)), field.name


def test_every_value_of_the_library_that_is_plain_data_has_a_table() -> None:
    """Or is told where it stands, in two or three names."""
    plain = {name for name in ntt_loops.__all__ if attrs.has(getattr(ntt_loops, name))}
    told = {
        "AttachmentState",
        "MediumState",
        "AdoptedDevice",
        "GoneDevice",
        "LeftDevice",
        "Partition",
        "RescuableImage",
    }
    assert plain - told == {cls.__name__ for cls, _ in VALUES.values()}


@pytest.mark.parametrize(
    ("section", "name", "words"),
    [
        ("Holder", "kind", Kind),
        ("ReleasedDevice", "found_by", FoundBy),
        ("KeptDevice", "reason", Reason),
        ("MountedPartition", "status", Status),
        ("MountedMedium", "layout", Layout),
        ("Check", "status", CheckStatus),
        ("LastSweep", "outcome", SweepOutcome),
    ],
)
def test_every_word_of_a_name_is_told(section: str, name: str, words: object) -> None:
    """A value that can be one of some words has all of them in its row."""
    (row,) = re.findall(rf"^\| `{name}` \| string \| (.*) \|$", SECTIONS[section], re.MULTILINE)
    assert set(get_args(words)) <= set(re.findall(r"`([\w -]+)`", row))


def test_every_name_that_the_examples_have_is_explained() -> None:
    """Those of the command line's own, too."""
    named = set(re.findall(r"`(\w+)`", JSON))
    shown = {
        name for one in pages.examples(pages.ROOT / "docs/cli.md", "json") for name in names_in(json.loads(one.code))
    }
    assert shown - named == set()


def names_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield each name of an object, and of those in it."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from names_in(one)


def test_facts_of_every_error_are_explained() -> None:
    """What an error can have in its JSON is in the table."""
    facts = {name for cls in error_classes() for name in get_type_hints(cls) if not name.startswith("_")}
    assert facts <= set(rows(SECTIONS["Error"]))


def error_classes() -> list[type[ntt_loops.NttLoopsError]]:
    """Return all of them."""
    return [getattr(errors, name) for name in errors.__all__]


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    """It is the one of the module, each one's parent and builtin included."""
    (tree,) = [one.code for one in pages.examples(pages.ROOT / "docs/errors.md", "text") if "├" in one.code]
    assert errors.__doc__ is not None
    assert [line.strip() for line in tree.splitlines()] == [
        line.strip() for line in errors.__doc__.split("::\n\n")[1].split("\n\n")[0].splitlines()
    ]
    for name, builtin in re.findall(r"(\w+Error) +also (\w+)", tree):
        assert issubclass(getattr(errors, name), getattr(builtins, builtin))


def test_every_error_has_a_row_with_its_status() -> None:
    """The status is the one that the command line exits with."""
    table = dict(re.findall(r"^\| `(\w+)` \| .*? \| ([^|]*) \| [^|]*\|$", ERRORS, re.MULTILINE))
    assert set(table) == set(errors.__all__) - {"NttLoopsError"}
    for name, said in table.items():
        error = getattr(errors, name)("...")
        assert int(re.findall(r"\d+", said)[0]) == status_of(error), name


def test_an_error_that_is_only_for_now_has_the_status_to_try_again() -> None:
    """Another process has the lock, or writes to the device."""
    kinds = {
        ntt_loops.LedgerError: errno.EAGAIN,
        ntt_loops.MountTimeoutError: errno.EAGAIN,
        ntt_loops.RescueError: errno.EBUSY,
    }
    for cls, number in kinds.items():
        (said,) = re.findall(rf"^\| `{cls.__name__}` \| .*? \| ([^|]*) \| [^|]*\|$", ERRORS, re.MULTILINE)
        assert int(re.findall(r"\d+", said)[1]) == status_of(cls("...", errno=number))
