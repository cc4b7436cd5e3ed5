"""What `make bench` makes of its measurements, and that the documents show just that."""

from __future__ import annotations

import json
import re
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks import budget, cycle, documents, goals, interpreter, tables
from tests.benchmarks.measuring import Contender, Row, interleaved, quartiles, timed, to_plain
from tests.benchmarks.parts import PARTS

RESULTS = json.loads((documents.KEPT / program.RESULTS).read_text(encoding="utf-8"))


def results(part: str, *rows: Row) -> dict[str, Any]:
    """Return results with one part."""
    return {"parts": {part: {"taken": RESULTS["parts"]["cycle"]["taken"], "rows": to_plain(rows)}}}


def cycles(library: float) -> dict[str, Any]:
    """Return results in which a cycle takes so many times as long as the bare ioctls."""
    rows = [Row.of("cycle", name, [value]) for name, value in ((cycle.PYTHON, 100.0), (cycle.TMPFS, 100.0 * library))]
    return results("cycle", *rows)


@pytest.mark.parametrize("document", documents.DOCUMENTS, ids=lambda path: path.name)
def test_documents_show_what_was_measured(document: Path) -> None:
    """Every figure between the marks is that of the results which are kept beside them, none written by hand."""
    text = document.read_text(encoding="utf-8")
    assert documents.renewed(text, RESULTS) == text


def test_every_part_is_shown_and_was_measured_whole() -> None:
    """The page has each part that can be chosen, and none of a quick run."""
    page = documents.DOCUMENTS[0].read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- bench: (\w+) -->", page)) - {"end"} == {"goals", *PARTS}
    assert {name: found["taken"]["quick"] for name, found in RESULTS["parts"].items()} == dict.fromkeys(PARTS, False)


def test_contenders_run_in_turn_and_the_warm_up_does_not_count() -> None:
    """Each runs once a round; what the first rounds took is in no row."""
    turns: list[str] = []
    values = {"a": count(1.0), "b": count(101.0)}

    def contender(name: str) -> Contender:
        def sample() -> float:
            turns.append(name)
            return next(values[name])

        return Contender(name, sample)

    rows = interleaved("case", [contender("a"), contender("b")], rounds=3, warm_up=2)
    assert [set(turns[index : index + 2]) for index in range(0, 10, 2)] == [{"a", "b"}] * 5
    assert [(row.contender, row.median, row.samples) for row in rows] == [("a", 4.0, 3), ("b", 104.0, 3)]


def test_a_contender_that_is_not_installed_is_a_row_that_says_so() -> None:
    """It is neither left out nor a figure."""
    [row] = interleaved("case", [Contender("libblockdev", None, "not installed")], rounds=3, warm_up=0)
    assert (row.samples, row.missing) == (0, "not installed")
    assert "| case | libblockdev | not installed |  |" in tables.listed(to_plain([row]), "")


def test_only_the_work_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes before and after a sample is not in it, and the time is that of one call."""
    now = [0]

    def spend(nanoseconds: int) -> None:
        now[0] += nanoseconds

    monkeypatch.setattr("time.perf_counter_ns", lambda: now[0])
    sample = timed(lambda: spend(3_000), times=4, before=lambda: spend(50_000), after=lambda: spend(70_000))
    assert sample() == 3.0
    assert now == [132_000]


@pytest.mark.parametrize(
    ("samples", "spread"), [([5.0], (5.0, 5.0)), ([1.0, 9.0], (1.0, 9.0)), ([1.0, 2.0, 3.0, 4.0, 50.0], (2.0, 4.0))]
)
def test_the_spread_is_that_of_the_quartiles(samples: list[float], spread: tuple[float, float]) -> None:
    """One wild sample does not move it; of one or two it is all of them."""
    assert quartiles(samples) == spread


@pytest.mark.parametrize(("library", "word"), [(2.2, "met"), (2.21, "**missed**")])
def test_a_goal_that_is_missed_is_shown_as_missed(library: float, word: str) -> None:
    """The limit itself is good enough; beyond it the table says so."""
    assert goals.verdict(goals.GOALS[0], cycles(library)) == (f"{library:.3g}x", word)


def test_a_goal_that_nobody_measured_is_not_met() -> None:
    """Without the figures, or where a contender was not installed, it is neither met nor missed."""
    assert {goals.verdict(goal, {"parts": {}})[1] for goal in goals.GOALS} == {"not measured"}
    missing = results("cycle", Row("cycle", cycle.PYTHON, missing="not installed"), Row.of("cycle", cycle.TMPFS, [1.0]))
    assert goals.verdict(goals.GOALS[0], missing) == ("", "not measured")


def test_every_goal_was_measured() -> None:
    """What the page shows has a verdict on each."""
    assert "not measured" not in {goals.verdict(goal, RESULTS)[1] for goal in goals.GOALS}


def test_a_goal_can_be_a_least() -> None:
    """How much faster than losetup a cycle is: more is better."""
    goal = goals.GOALS[1]
    assert goal.target() == "at least 12x"
    assert (goal.is_met(11.9), goal.is_met(12.0)) == (False, True)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "us", "0.5 µs"),
        (123.4, "us", "123 µs"),
        (2966.0, "us", "2.97 ms"),
        (4_321_000.0, "us", "4.32 s"),
        (7377.0, "1/s", "7,377 1/s"),
        (0.0, "", "0"),
    ],
)
def test_amounts(value: float, unit: str, text: str) -> None:
    """Three digits, in the unit that fits."""
    assert tables.amount(value, unit) == text


def test_multiples_are_those_of_the_same_case() -> None:
    """Each case has its own reference."""
    rows = [Row.of(case, name, [value]) for case, name, value in (("a", "bare", 2.0), ("a", "x", 6.0), ("b", "x", 1.0))]
    lines = tables.listed(to_plain(rows), "bare").splitlines()
    assert lines[-2:] == ["| a | x | 6 µs |  | 3 |", "| b | x | 1 µs |  |  |"]


@pytest.mark.parametrize(("percent", "is_busy"), [(3, False), (55, True)])
def test_figures_of_a_busy_machine_say_so(percent: int, *, is_busy: bool) -> None:
    """Whoever reads them knows that they are of one."""
    facts = {**RESULTS["parts"]["cycle"]["taken"], "busy_percent": percent}
    assert ("busy with other work" in tables.taken(facts)) is is_busy


def test_only_what_is_between_the_marks_is_written_anew() -> None:
    """The text around stays; an older table goes; a part that was not measured says so."""
    text = (
        "before\n<!-- bench: cycle -->\nold\n<!-- bench: end -->\nbetween\n<!-- bench: scale -->\n<!-- bench: end -->\n"
    )
    found = documents.renewed(text, cycles(2.0))
    assert found.startswith("before\n<!-- bench: cycle -->\n\n| case |")
    assert "old" not in found
    assert found.endswith("between\n<!-- bench: scale -->\n\nNot measured.\n\n<!-- bench: end -->\n")
    assert documents.renewed(found, cycles(2.0)) == found


TRACE = """\
getppid() = 1 <0.000010>
access("/a-cycle-begins", F_OK) = -1 ENOENT (No such file or directory) <0.000011>
openat(AT_FDCWD</tmp>, "/tmp/a b.img", O_RDONLY|O_CLOEXEC) = 3</tmp/a b.img> <0.000013>
ioctl(4</dev/loop17>, LOOP_CONFIGURE, {fd=3}) = 0 <0.000110>
access("/a-cycle-ends", F_OK) = -1 ENOENT (No such file or directory) <0.000011>
"""


def test_a_trace_becomes_calls_that_are_alike_in_every_run() -> None:
    """The marks are no calls, what strace itself took is taken off, and no number or path of this run is left."""
    found = [budget._LINE.match(line) for line in TRACE.splitlines()]
    calls = [budget.Call(one[1], one[2], float(one[3]) * 1e6) for one in found if one is not None]
    rows = budget._call_rows(calls, Path("/tmp/a b.img"))  # noqa: S108 - a name only
    assert [(row.contender, round(row.median)) for row in rows] == [
        ("01 openat(IMAGE)", 3),
        ("02 ioctl(/dev/loopN, LOOP_CONFIGURE)", 100),
    ]


@pytest.mark.parametrize(
    ("file", "name", "group"),
    [
        ("/src/ntt_loops/_ledger/book.py", "add", "`_ledger`"),
        ("<attrs generated methods x.Record>", "__init__", "attrs: what it generated"),
        ("~", "<built-in method fcntl.ioctl>", "system calls, as posix, fcntl and io make them"),
        ("~", "<built-in method builtins.len>", "other functions in C"),
        ("/usr/lib/python3.11/pathlib.py", "__str__", "pathlib of the standard library"),
    ],
)
def test_each_function_is_in_one_group(file: str, name: str, group: str) -> None:
    """By room of the library, by library, or as a system call."""
    assert interpreter.group_of(file, name) == group


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names it and those that there are; nothing is measured."""
    with pytest.raises(SystemExit) as caught:
        program.main(["--quick", "cycles"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "there is no part cycles" in said
    assert "cycle, release, sweep" in said


def test_without_devices_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is not root reads so, in one line."""
    monkeypatch.setattr(program, "missing_for_kernel", lambda: "real loop devices need root")
    assert program.main([]) == 1
    assert capsys.readouterr().err == "Nothing can be measured here: real loop devices need root.\n"


def test_without_matplotlib_it_says_so_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many minutes of measuring are not lost for want of what draws."""
    monkeypatch.setattr(program, "missing_for_kernel", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert program.main([]) == 1
    assert "make bench installs it" in capsys.readouterr().err


def test_redraw_writes_documents_from_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured; tables and plots are those of the results that are there, which stay as they are."""
    page, kept = tmp_path / "page.md", tmp_path / program.RESULTS
    page.write_text("<!-- bench: cycle -->\n<!-- bench: end -->\n", encoding="utf-8")
    kept.write_text(json.dumps(cycles(2.0)), encoding="utf-8")
    drawn: list[object] = []
    monkeypatch.setattr(documents, "KEPT", tmp_path)
    monkeypatch.setattr(documents, "DOCUMENTS", (page,))
    monkeypatch.setattr(program, "missing_for_kernel", lambda: None)
    monkeypatch.setattr(program, "_missing_to_draw", lambda: None)
    monkeypatch.setitem(sys.modules, "tests.benchmarks.plots", SimpleNamespace(draw=lambda *what: drawn.append(what)))
    assert program.main(["--redraw"]) == 0
    assert "| 200 µs |" in page.read_text(encoding="utf-8")
    assert drawn == [(cycles(2.0), tmp_path)]
    assert json.loads(kept.read_text(encoding="utf-8")) == cycles(2.0)


def test_rows_are_plain_and_rounded() -> None:
    """The JSON has five digits, which is more than can be meant."""
    [plain] = to_plain([Row.of("case", "who", [1.23456789])])
    assert plain == attrs.asdict(Row("case", "who", median=1.2346, low=1.2346, high=1.2346, samples=1))
