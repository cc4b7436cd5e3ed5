"""The documents: all have a place, links lead somewhere, examples are run, public names are explained."""

from __future__ import annotations

import configparser
import doctest
import json
import re
import tomllib
from typing import TYPE_CHECKING

import pytest

import ntt_loops
from ntt_loops.testing import in_memory
from tests.support import pages
from tests.support.pages import NOT_RUN, OWN_TESTS, ROOT, Example, name_of

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
PAGES = pages.pages()
DOCUMENTED = re.compile(r"^\.\. auto(?:function|class|exception):: (\w+)", re.MULTILINE)


def navigation() -> list[Path]:
    """Return the pages that the site's navigation has, in its order."""
    trees = re.findall(r"^```{toctree}\n(.*?)^```$", INDEX, re.MULTILINE | re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    names = [re.sub(r".*<(.*)>", r"\1", line) for line in lines]
    return [(DOCS / f"{name}.md").resolve() for name in names]


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[tuple[str, str]]:
    """Return file and anchor of each link to something of ours."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8"))
    return [(file, anchor) for file, anchor in found if "://" not in file]


def test_the_navigation_has_every_page() -> None:
    """Once each, those of other folders too, but for the front page, which leads to them."""
    assert sorted(navigation()) == sorted(set(PAGES) - {DOCS / "index.md"})


def test_the_front_page_leads_to_every_document() -> None:
    """Where no site is made, its links are the navigation."""
    linked = {(DOCS / file).resolve() for file, _ in links(DOCS / "index.md")}
    assert set(navigation()) <= linked


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_anchors_are_headings(page: Path) -> None:
    """What stands behind a "#" is a heading of the page that the link leads to."""
    wrong = []
    for file, anchor in links(page):
        target = (page.parent / file).resolve() if file else page
        if anchor and anchor not in headings(target):
            wrong.append((file, anchor))
    assert wrong == []


def test_an_anchor_that_is_not_there_is_noticed() -> None:
    """The test above sees something."""
    assert "a-device-will-not-let-go" in headings(DOCS / "how-to.md")
    assert "a-device-will-let-go" not in headings(DOCS / "how-to.md")


@pytest.mark.parametrize("package", ["ntt_loops", "ntt_loops.testing", "ntt_loops.pytest_plugin", "ntt_loops.dask"])
def test_every_public_name_is_in_the_reference(package: str) -> None:
    """Once, whether a function, a value or an error, and no name that is not public."""
    text = "".join((DOCS / page).read_text(encoding="utf-8") for page in ("api.md", "errors.md"))
    parts = [part.partition("\n") for part in text.split(".. currentmodule:: ")[1:]]
    named = [name for home, _, part in parts if home == package for name in DOCUMENTED.findall(part)]
    assert sorted(named) == sorted(vars(pytest.importorskip(package))["__all__"])


def test_every_method_of_loops_is_named() -> None:
    """The reference has them once, as functions, and says that they are methods, too."""
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    paragraph = text.split(".. autoclass:: Loops\n")[1].split("\n## ")[0]
    methods = {name for name in dir(ntt_loops.Loops) if not name.startswith("_")}
    assert set(re.findall(r"`(\w+)`", paragraph)) == methods


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_fence_has_a_language_that_is_known(page: Path) -> None:
    """One that is run, or one that is only shown: a shell's by another name would be run by nobody."""
    assert {one.language for one in pages.examples(page)} <= {*pages.RUN, *pages.SHOWN}


def test_tests_of_a_page_of_their_own_are_there() -> None:
    """Each page that is said to have them is one with such examples, and the test names it."""
    found = {(one.page, one.language) for one in pages.all_examples(*pages.RUN)}
    assert set(OWN_TESTS) <= found
    for (page, _), test in OWN_TESTS.items():
        assert page.rpartition("/")[2] in (ROOT / test).read_text(encoding="utf-8")


def test_what_is_not_run_is_there_and_has_a_reason() -> None:
    """Each is one example: one that is gone, or that has tests of its own by now, is not on the list."""
    found = pages.without_own_tests(*pages.RUN)
    assert [sum(one.begins(page, words) for one in found) for page, words in NOT_RUN] == [1] * len(NOT_RUN)
    assert all(NOT_RUN.values())


def test_lines_of_a_shell_are_run_on_purpose() -> None:
    """They are run as root, so a page is named for that: no new one is run unread."""
    assert {one.page for one in pages.to_run("sh")} == set(pages.SAFE_SHELL)


@pytest.mark.parametrize(
    "example",
    [pytest.param(one, id=f"{one.page}: {one.first_line}") for one in pages.to_run("python") if one.file is None],
)
def test_every_python_example_runs(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs as it stands in an empty folder, on a kernel in memory, and prints something."""
    monkeypatch.chdir(tmp_path)
    with in_memory():
        exec(compile(example.code, example.page, "exec"), {})  # noqa: S102 - it is our own
    assert capsys.readouterr().out


def test_a_python_example_that_is_to_be_saved_is_run_by_a_session() -> None:
    """Its name stands in a command of its page."""
    for one in pages.to_run("python"):
        if one.file is not None:
            commands = "".join(block.code for block in pages.examples(ROOT / one.page, "console"))
            assert f"$ python {one.file}" in commands


@pytest.mark.parametrize("page", [page for page in PAGES if pages.examples(page, "pycon")], ids=name_of)
def test_sessions_with_the_interpreter_are_as_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a page has, in one session, prints what stands below each line."""
    monkeypatch.chdir(tmp_path)
    session = "\n".join(one.code for one in pages.examples(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {}, page.name, name_of(page), 0)
    said: list[str] = []
    result = doctest.DocTestRunner().run(test, out=said.append)
    assert (result.failed, "".join(said)) == (0, "")


@pytest.mark.parametrize("page", [page for page in PAGES if pages.examples(page, "json")], ids=name_of)
def test_every_json_is_json(page: Path) -> None:
    """One document, or one a line as in a ledger."""
    for one in pages.examples(page, "json"):
        documents = one.code.splitlines() if one.page == "docs/ledger.md" else [one.code]
        assert all(json.loads(document) for document in documents)


def test_every_configuration_that_is_shown_can_be_read() -> None:
    """TOML as TOML; a unit's settings have a section and names, which may come again."""
    for one in pages.all_examples("toml"):
        assert tomllib.loads(one.code)
    for one in pages.all_examples("ini"):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.read_string(one.code)
        assert [name for name in unit.sections() if unit[name]] == unit.sections()
        assert unit.sections()
