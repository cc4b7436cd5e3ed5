"""The documents and the examples in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
#: What a test runs, and what only is shown; a fence in any other language is a mistake.
RUN: Final = ("python", "pycon", "sh", "console")
SHOWN: Final = ("text", "json", "ini", "toml", "yaml", "{toctree}", "{eval-rst}")

#: The examples of a page, in one language, that have tests of their own; all others are run by test_documents.py.
OWN_TESTS: Final = {
    ("README.md", "python"): "tests/unit/test_readme.py",
    ("docs/asyncio.md", "python"): "tests/unit/test_asyncio_document.py",
    ("docs/fleet.md", "python"): "tests/unit/test_fleet_document.py",
    ("docs/from-bash.md", "sh"): "tests/kernel/test_from_bash.py",
    ("docs/how-to.md", "sh"): "tests/kernel/test_how_to.py",
    ("docs/testing.md", "python"): "tests/unit/test_testing_docs.py",
}
#: Pages whose lines of a shell can be run as they stand: as root, beside other people's devices.
SAFE_SHELL: Final = ("README.md", "docs/cli.md", "docs/tutorial.md")
#: Page and beginning of an example that no test runs as it stands, and why.
NOT_RUN: Final = {
    ("README.md", "ntt-loops metrics "): (
        "what doctor exits with is the machine's, and /dev/loop7 is anybody's; tests/unit/cli has each of these verbs"
    ),
    ("docs/fleet.md", ".venv/bin/python examples/fleet.py"): (
        "it is long; tests/kernel/test_fleet_example.py runs it with less to do"
    ),
    ("docs/fleet.md", "python3 -m venv /opt/ntt-loops"): (
        "it installs into hosts that run systemd; tests/unit/test_fleet_document.py has systemd read the units"
    ),
    ("examples/prometheus/README.md", "/opt/ntt-loops/bin/pip install"): (
        "it installs into a host that runs systemd; tests/unit/test_prometheus_examples.py has what is installed"
    ),
    ("examples/prometheus/README.md", "install -m 0644 examples/prometheus/ntt-loops.rules.yml"): (
        "it installs into a Prometheus server; tests/unit/test_prometheus_examples.py has what is installed"
    ),
    ("examples/systemd/README.md", "install -m 0644 examples/systemd/ntt-loops-worker.service"): (
        "it installs into hosts that run systemd; tests/unit/test_fleet_document.py has systemd read the units"
    ),
    ("examples/systemd/README.md", "python3 -m venv /opt/ntt-loops"): (
        "it installs into a host that runs systemd; tests/unit/test_units.py has systemd read the units"
    ),
}

_FENCE: Final = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A block of code of a document."""

    page: str
    language: str
    code: str

    @property
    def first_line(self) -> str:
        """What it is known by on its page."""
        return self.code.partition("\n")[0]

    def begins(self, page: str, words: str) -> bool:
        """Whether it is that page's, and begins with these words."""
        return self.page == page and self.code.startswith(words)

    @property
    def file(self) -> str | None:
        """The name that the reader is to save it by, where its first line has one."""
        found = re.match(r"# ([\w-]+\.py)\n", self.code)
        return None if found is None else found[1]


def pages() -> list[Path]:
    """Return every document that is shown to users."""
    folders = ("*.md", "docs/*.md", "examples/**/*.md")
    return sorted(path for pattern in folders for path in ROOT.glob(pattern))


def name_of(page: Path) -> str:
    """Return its path in the repository."""
    return page.relative_to(ROOT).as_posix()


def examples(page: Path, *languages: str) -> list[Example]:
    """Return its blocks, of these languages or of all."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [
        Example(name_of(page), language, code) for language, code in found if not languages or language in languages
    ]


def all_examples(*languages: str) -> list[Example]:
    """Return the blocks of all documents."""
    return [one for page in pages() for one in examples(page, *languages)]


def without_own_tests(*languages: str) -> list[Example]:
    """Return the blocks for which no page has tests of its own."""
    return [one for one in all_examples(*languages) if (one.page, one.language) not in OWN_TESTS]


def to_run(*languages: str) -> list[Example]:
    """Return those of them that can be run."""
    found = without_own_tests(*languages)
    return [one for one in found if not any(one.begins(page, words) for page, words in NOT_RUN)]
