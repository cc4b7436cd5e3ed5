"""What holds for every test of real devices: the machine need not be quiet."""

from __future__ import annotations

import pytest

from tests.support import strangers


@pytest.fixture(autouse=True)
def _own_users_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the users out that are no processes of this test's."""
    strangers.leave_out(monkeypatch)
