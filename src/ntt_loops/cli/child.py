"""The command that ``run`` runs: its signals and its exit status.

It stays in our process group, so that a pipeline, Ctrl-C and Ctrl-Z are what they are without us. What the terminal
sends reaches it by itself; what is sent to us alone is passed on. The kernel says which is which, but only to
sigtimedwait(2).
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from ntt_loops.cli.exits import Exit
from ntt_loops.cli.failures import complain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

_PASSED_ON = frozenset(
    (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
)
_WATCHED = _PASSED_ON | {signal.SIGTSTP, signal.SIGCHLD}
#: si_code of a signal that the kernel sent by itself: here the terminal's, which goes to the whole group.
_SI_KERNEL = 0x80
#: So often the command is asked after without a signal: where another thread is left, that may have taken it.
_ASK_SECONDS = 1.0
#: What Python ignores from the start; a program does not expect that.
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
#: Status of a command that a signal ended, as in a shell.
_BY_SIGNAL = 128


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end and return its exit status as a shell has it.

    It inherits no descriptor of ours but what we were given: a device's is closed by the exec.
    """
    if not command[0]:  # posix_spawn does not take it
        complain("'': no such command")
        return Exit.NOT_FOUND
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as some parent may have left it, no status is kept
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        pid = os.posix_spawnp(command[0], list(command), environment, setsigmask=before, setsigdef=_IGNORED_BY_PYTHON)
        return _wait(pid)
    except OSError as error:
        complain(f"{command[0]}: {error.strerror}")
        is_missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        return Exit.NOT_FOUND if is_missing else Exit.NOT_EXECUTABLE
    finally:
        _forget_pending(_PASSED_ON - {signal.SIGTERM, signal.SIGHUP})
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(pid: int) -> int:
    while True:
        info = signal.sigtimedwait(_WATCHED, _ASK_SECONDS)
        if info is None or info.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else _BY_SIGNAL - code
            continue
        if info.si_code != _SI_KERNEL:
            os.kill(pid, info.si_signo)
        if info.si_signo == signal.SIGTSTP:
            _stop()


def _stop() -> None:
    """Stop as Ctrl-Z stops a program, until somebody continues us."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})


def _forget_pending(signals: AbstractSet[signal.Signals]) -> None:
    """Take signals that were meant for the command, which has ended: the detach is not to be interrupted by them."""
    while signal.sigtimedwait(signals, 0) is not None:
        pass
