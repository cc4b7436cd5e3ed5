"""Which tests need real loop devices, and the guard that none of them leaves something behind."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import guard
from tests.support.needs import missing_for_kernel, require_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

#: pytest's own, for tests of the plugin.
pytest_plugins = ["pytester"]

TESTS = Path(__file__).parent
# No test is about time, also on a machine that is busy.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
#: In one process, one after the other: some count the calls that others make as they have hundreds of devices.
PROOF = TESTS / "proof"
GUARDED = (TESTS / "kernel", TESTS / "contract", PROOF)
#: Every test in these needs root and loop devices.
ON_DEVICES = (TESTS / "kernel", PROOF)

BASE = pytest.StashKey[Path]()
DESCRIPTORS = pytest.StashKey[dict[int, str]]()
#: Not in a worker: what others of the run have at the moment would pass for a leak.
PARTITIONS = pytest.StashKey[set[str]]()
LEAKS = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    """Let Ctrl-C be heard, by all children too: a shell has what it runs in the background ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of real devices as one that needs root and loop devices."""
    if any(item.path.is_relative_to(folder) for folder in ON_DEVICES):
        item.add_marker("kernel")
    if item.path.is_relative_to(PROOF):
        item.add_marker(pytest.mark.xdist_group("proof"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test that needs real loop devices where there are none."""
    if item.get_closest_marker("kernel") is not None:
        require_kernel()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Note what was there before the first test."""
    config = session.config
    if not _is_controller(config):
        config.stash[DESCRIPTORS] = guard.open_descriptors()
    if not _is_worker(config):
        config.stash[PARTITIONS] = guard.stale_partitions()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist may not be there
    """Let the controller know the folder of all workers: one that crashes does not say what it leaves."""
    node.config.stash[BASE] = node.config._tmp_path_factory.getbasetemp()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - the same
    """Take from a worker what it left behind."""
    node.config.stash.setdefault(LEAKS, []).extend(getattr(node, "workeroutput", {}).get("leaks", []))


@pytest.fixture(scope="session", autouse=True)
def session_folder(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Path]:
    """Keep all temporary files, of child processes too, and the default ledgers below one folder."""
    base = tmp_path_factory.getbasetemp()
    temporary = tmp_path_factory.mktemp("tmp", numbered=False)
    pytestconfig.stash[BASE] = base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setenv("NTT_LOOPS_RUN_DIR", str(base / "run"))
        # Each of some thousand processes would compile the library anew where no bytecode is kept.
        patch.setenv("PYTHONPYCACHEPREFIX", str(base / "pycache"))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield base


@pytest.fixture(autouse=True)
def no_leak(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test of real devices that leaves one bound to a file below its tmp_path, and free that one."""
    if missing_for_kernel() is not None or not _is_guarded(request.path):
        yield
        return
    folder: Path = request.getfixturevalue("tmp_path")
    yield
    leaks = guard.leaks_below(folder)
    if leaks:
        guard.clear_below(folder)
        pytest.fail("the test left behind: " + "; ".join(leaks), pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when it left a device, a mount, a partition node or a descriptor.

    With workers this comes after xdist has ended them, and before pytest removes their folder: hooks run in the
    reverse of the order that they were registered in.
    """
    config = session.config
    leaks = config.stash.setdefault(LEAKS, [])
    leaks += _left_behind(config)
    if _is_worker(config):
        config.workeroutput["leaks"] = leaks  # type: ignore[attr-defined]
    elif leaks and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what the run left behind."""
    leaks = config.stash.get(LEAKS, [])
    if leaks:
        terminalreporter.section("LEFT BEHIND: THE RUN HAS FAILED", red=True, bold=True)
        for leak in leaks:
            terminalreporter.write_line(leak, red=True)


def _left_behind(config: pytest.Config) -> list[str]:
    """Return one sentence for each thing that is left; detach and unmount it."""
    stash = config.stash
    leaks = guard.new_descriptors(stash[DESCRIPTORS]) if DESCRIPTORS in stash else []
    if BASE in stash and missing_for_kernel() is None:
        leaks += guard.leaks_below(stash[BASE])
        guard.clear_below(stash[BASE])
        if PARTITIONS in stash:
            leaks += guard.new_stale_partitions(stash[PARTITIONS])
    return leaks


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is one of the processes of ``pytest -n``."""
    return hasattr(config, "workerinput")


def _is_controller(config: pytest.Config) -> bool:
    """Whether this is the process that gives them tests, and runs none."""
    return config.pluginmanager.hasplugin("dsession")


def _is_guarded(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in GUARDED)
