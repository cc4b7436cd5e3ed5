"""What holds for every test of real devices: the machine need not be quiet; and fixtures of several files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntt_loops import Loops
from tests.support import strangers
from tests.support.images import make_image
from tests.support.media import new_hash
from tests.support.ntt_place import Place

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_users_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the users out that are no processes of this test's."""
    strangers.leave_out(monkeypatch)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The folders that the NTT programs are told of, with a ledger of the test's own."""
    monkeypatch.setenv("NTT_LOOPS_RUN_DIR", str(tmp_path / "run"))
    return Place(tmp_path)


@pytest.fixture
def loops(tmp_path: Path) -> Loops:
    """The library, with a ledger of this test's own."""
    return Loops(tmp_path / "run")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where media are mounted; it is not there yet."""
    return tmp_path / "mnt"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a file system that holds one file."""
    return make_image(tmp_path / f"{new_hash()}.img", size_bytes=2**20, files={"f": b"content"})
