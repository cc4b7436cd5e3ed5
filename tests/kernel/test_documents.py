"""The sessions that the documents show are what happens, on real devices."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import oracle, pages, transcripts
from tests.support.images import make_image
from tests.support.needs import require_tool
from tests.support.transcripts import unique

SESSIONS = [page for page in pages.pages() if pages.examples(page, "console")]


@pytest.mark.parametrize("page", SESSIONS, ids=pages.name_of)
def test_sessions_of_a_page_are_as_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands of a page, in one shell, print what is below each; numbers of devices and processes apart."""
    monkeypatch.setenv("NTT_LOOPS_RUN_DIR", str(tmp_path / ".ledger"))  # a sweep tells of what other tests left there
    require_tool("losetup")
    mark = secrets.token_hex(6)
    for example in pages.examples(page, "python"):
        if example.file is not None:
            (tmp_path / example.file).write_text(unique(example.code, mark), encoding="utf-8")
    shown = [unique(example.code, mark) for example in pages.examples(page, "console")]
    session = [step for code in shown for step in transcripts.steps(code)]
    printed = transcripts.play(session, tmp_path)
    wrong = [
        (step.command, one)
        for step, one in zip(session, printed, strict=True)
        if not transcripts.is_as_shown(one, step.printed, tmp_path)
    ]
    assert not wrong, "\n\n".join(f"$ {command}\n{one}" for command, one in wrong)


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(one, id=f"{one.page}: {one.first_line}")
        for one in pages.to_run("sh")
        if one.page in pages.SAFE_SHELL
    ],
)
def test_lines_of_a_shell_succeed(example: pages.Example, tmp_path: Path) -> None:
    """They run to their end in a folder with an image, in a mount namespace of their own, and leave no device."""
    mark = secrets.token_hex(6)
    image = make_image(tmp_path / unique("disk-12.img", mark), size_bytes=2**20)
    assert in_private_place(unique(example.code, mark), tmp_path) == (0, "")
    assert oracle.bound_devices(image) == []


def in_private_place(script: str, folder: Path) -> tuple[int, str]:
    """Run a script where /mnt is its own, and return its status and what it complained of."""
    lines = ["set -eu", "mount -t tmpfs tmpfs /mnt", 'sudo() { "$@"; }', script]
    command = ["unshare", "--mount", "--propagation=private", "bash", "-c", "\n".join(lines)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr
