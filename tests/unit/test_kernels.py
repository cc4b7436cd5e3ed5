"""``python -m tests.kernels``: how it finds a package, reads reports, and writes the page; no machine is booted."""

from __future__ import annotations

import datetime as dt
import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.kernels import packages, page, results, selection
from tests.kernels.__main__ import main
from tests.kernels.machine import PROJECT, Run
from tests.kernels.packages import Kernel, NoKernelError, kernel_of
from tests.kernels.results import Result, results_of

if TYPE_CHECKING:
    from pathlib import Path

RUN = Run("some", ("tests/kernel/test_x.py",), 60)
REPORT = """<testsuites><testsuite>
<testcase classname="tests.kernel.test_x" name="test_good" />
<testcase classname="tests.kernel.test_x" name="test_bad[1]"><failure message="assert 1 == 2&#10;more">
text</failure></testcase>
<testcase classname="tests.kernel.test_x" name="test_no"><skipped message="this kernel has no diskseq" /></testcase>
<testcase classname="tests.kernel.test_x" name="test_left">
<error message="the test left behind: /dev/loop1" /></testcase>
<testcase classname="tests.kernel.test_x" name="test_count">
<properties><property name="pauses" value="3" /></properties>
</testcase></testsuite></testsuites>"""


def _fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that come before the system's, and a cache of the test's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


APT = """
case "$*" in
*indextargets*) echo "http://mirror.example/debian/|$RELEASE|main|amd64"; echo "http://other.example/|x|main|amd64" ;;
*update*) cat "$XDG_CACHE_HOME"/ntt-loops-kernels/trixie/sources/debian.list >"$XDG_CACHE_HOME/source" ;;
*download*) : >"linux-image-6.12-amd64_1_amd64.deb" ;;
esac
"""
APT_CACHE = 'printf "linux-image-amd64\\n  Depends: linux-image-6.12-amd64\\n"'
DPKG = 'mkdir -p "$3/boot" "$3/usr/lib/modules/6.12-amd64" && : >"$3/boot/vmlinuz-6.12-amd64"'
DEPMOD = ': >"$2/lib/modules/$3/modules.dep.bin"'


@pytest.fixture
def apt(programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt that has one kernel, of a machine whose own release is in its sources."""
    monkeypatch.setenv("RELEASE", packages._own_release())
    for name, script in (("apt-get", APT), ("apt-cache", APT_CACHE), ("dpkg-deb", DPKG), ("depmod", DEPMOD)):
        _fake(programs, name, script)
    return programs


def test_a_kernel_is_found_by_the_machines_own_source(apt: Path, tmp_path: Path) -> None:
    """The source of its own release, with the suite replaced; the package is unpacked; the next time nothing is run."""
    kernel = kernel_of("trixie")
    assert kernel.version == "6.12-amd64"
    assert (tmp_path / "cache/source").read_text() == "deb http://mirror.example/debian/ trixie main\n"
    for name in ("apt-get", "apt-cache", "dpkg-deb", "depmod"):
        _fake(apt, name, "exit 1")
    assert kernel_of("trixie") == kernel


@pytest.mark.parametrize("name", ["apt-get", "apt-cache", "dpkg-deb", "depmod"])
def test_what_fails_is_told_in_its_own_words(apt: Path, name: str) -> None:
    """No network, no such package, a full disk: one error, with what the program said."""
    _fake(apt, name, "echo 'Could not resolve host' >&2; exit 100")
    with pytest.raises(NoKernelError, match=rf"(?s){name}.*network.*Could not resolve host"):
        kernel_of("trixie")


def test_a_machine_whose_release_is_in_no_source(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to replace the suite in: the error says which release was looked for."""
    monkeypatch.setenv("RELEASE", "another")
    with pytest.raises(NoKernelError, match=f"no source of '{packages._own_release()}'"):
        kernel_of("trixie")
    _fake(apt, "apt-get", APT)
    assert not packages._images(packages.cache_folder() / "trixie/root")


def test_a_suite_without_a_kernel(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A meta-package that depends on nothing."""
    _fake(apt, "apt-cache", "echo linux-image-amd64")
    with pytest.raises(NoKernelError, match="names no kernel"):
        kernel_of("trixie")
    monkeypatch.setenv("PATH", str(apt))
    (apt / "apt-get").unlink()
    with pytest.raises(NoKernelError, match="apt-get is missing"):
        kernel_of("trixie")


def test_reports_are_read(tmp_path: Path) -> None:
    """Passed, failed, left something behind, skipped, and what was counted."""
    (tmp_path / "some.xml").write_text(REPORT)
    (tmp_path / "some.status").write_text("1\n")
    where = "tests/kernel/test_x.py::test"
    assert results_of([RUN], tmp_path) == [
        Result(f"{where}_good", "passed"),
        Result(f"{where}_bad[1]", "failed", "assert 1 == 2"),
        Result(f"{where}_no", "skipped", "this kernel has no diskseq"),
        Result(f"{where}_left", "failed", "the test left behind: /dev/loop1"),
        Result(f"{where}_count", "passed", counted=("pauses: 3",)),
    ]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"some.started": ""}, "the machine went down in it"),
        ({"some.started": "", "some.status": "137\n"}, "it took longer than 60 s"),
        ({"some.xml": "<testsuites/>", "some.status": "4\n"}, "pytest ended with 4"),
        ({"some.xml": "<testsuites/>", "some.status": "1\n"}, "pytest ended with 1"),
    ],
)
def test_a_run_that_did_not_end_well_is_a_failure(tmp_path: Path, files: dict[str, str], why: str) -> None:
    """Whatever is missing is told; a leak of the whole run is no failed test, and a failure all the same."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    (failure,) = results_of([RUN], tmp_path)
    assert (failure.name, failure.outcome) == ("the run 'some'", "failed")
    assert why in failure.reason


def test_a_run_that_was_not_chosen_is_told_as_not_run(tmp_path: Path) -> None:
    """Each of its files, on the page, too."""
    assert results_of([RUN], tmp_path) == [Result("tests/kernel/test_x.py", "not run")]


def test_a_row_and_a_section_are_replaced(tmp_path: Path) -> None:
    """Twice, and the page has the second one's results only; the other suites stay as they are."""
    copy = tmp_path / "kernels.md"
    copy.write_text(page.PAGE.read_text())
    before = {line for line in copy.read_text().splitlines() if line.startswith(("| bullseye", "| bookworm"))}
    kernel, day = Kernel("trixie", tmp_path / "vmlinuz-6.12.1-amd64"), dt.date(2026, 1, 2)
    first = [Result("a::one", "failed", "broken"), Result("a::two", "passed")]
    second = [Result("a::one", "passed"), Result("a::two", "skipped", "no such thing"), Result("a::two", "passed")]
    second += [Result("tests/kernel/test_x.py", "not run")]
    for found in (first, second):
        page.record(kernel, found, day, page=copy)
    text = copy.read_text()
    assert "| trixie | 6.12.1-amd64 | 2026-01-02 | 2 | 0 | 1 | `make test-kernels KERNELS=trixie` |" in text
    assert "broken" not in text
    assert "- skipped: `a::two`: no such thing" in text
    assert "- not run: `tests/kernel/test_x.py`" in text
    assert before <= set(text.splitlines())
    assert results.count(second, "passed") == 2


def test_a_page_without_a_place_is_an_error(tmp_path: Path) -> None:
    """Nothing is lost in silence."""
    (tmp_path / "kernels.md").write_text("# empty\n")
    with pytest.raises(ValueError, match="no place for 'trixie'"):
        page.record(Kernel("trixie", tmp_path / "vmlinuz-6"), [], dt.date(2026, 1, 2), page=tmp_path / "kernels.md")


def test_every_test_of_devices_is_run_or_left_out_with_a_reason() -> None:
    """Each file of tests/kernel is in one run, or is left out; what is left out exists, and has a sentence."""
    targets = [word for run in selection.runs() for word in run.arguments if word.startswith("tests/kernel/")]
    files = {str(path.relative_to(PROJECT)) for path in (PROJECT / "tests/kernel").glob("test_*.py")}
    left_out = {name for name in selection.LEFT_OUT if "::" not in name}
    assert sorted(targets) == sorted(files - left_out)
    for name, why in selection.LEFT_OUT.items():
        file, _, test = name.partition("::")
        assert f"def {test}" in (PROJECT / file).read_text()
        assert why.strip()


def test_an_unknown_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are, and nothing is downloaded."""
    with pytest.raises(SystemExit, match="2"):
        main(["sarge"])
    assert "'sarge'" in capsys.readouterr().err


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All at once, with what installs them."""
    monkeypatch.setattr("tests.kernels.machine.find_tool", lambda name: None if name in ("vng", "mdadm") else name)
    assert main(["trixie"]) == 2
    assert "Missing programs: vng, mdadm; 'make test-kernels'" in capsys.readouterr().err
