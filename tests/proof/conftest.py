"""The proof counts what it tried."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Their assertions are to say what they found, as those of tests do.
pytest.register_assert_rewrite("tests.proof.machine", "tests.proof.machine_users", "tests.proof.machine_calls")


@pytest.fixture(scope="session", name="_counts")
def counts() -> Iterator[dict[str, int]]:
    """Write the counts to the file that NTT_LOOPS_PROOF_COUNTS names."""
    found: dict[str, int] = {}
    yield found
    name = os.environ.get("NTT_LOOPS_PROOF_COUNTS")
    if name:
        Path(name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


@pytest.fixture
def record(_counts: dict[str, int], request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Count the points that a test tried."""

    def add(what: str, points: int) -> None:
        _counts[f"{request.node.originalname}: {what}"] = points

    return add
