"""One worker process: started, awaited, watched, stopped, and its log kept.

Threads and `concurrent.futures` only, so that a script and an event loop (`asyncio.wrap_future`) can both wait.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import msgspec

from roci.engine.gguf_header import GgufHeader
from roci.engine.load_failures import how_it_ended, load_failure
from roci.engine.load_plan import LoadPlan, plan_load
from roci.engine.load_watch import LoadWatch
from roci.engine.memory import MemoryFit, claimed_bytes, free_memory_bytes, resident
from roci.engine.pipe_lines import lines_of
from roci.engine.socket_folder import SocketFolder
from roci.engine.worker_flags import CHAT_TEMPLATE_NAME, worker_flags
from roci.engine.worker_options import WorkerOptions, WorkerReady
from roci.errors import WorkerDiedError

LOG_TAIL_LINES: Final = 40
STOP_WAIT_S: Final = 10.0
LOG_END_WAIT_S: Final = 2.0
# -P: a file of the user's working directory must not stand in for a module of ours.
WORKER_COMMAND: Final = (sys.executable, "-P", "-m", "roci.worker")

_log = logging.getLogger(__name__)


class WorkerProcess:
    """One child with one model. `start` makes it and `stop` ends it; a worker that is never stopped ends with us."""

    key: str
    options: WorkerOptions
    plan: LoadPlan
    """The files that are loaded, and what the model was given."""
    ready: Future[WorkerReady]
    """Resolved once the worker can answer; fails with a `LoadFailedError` or `WorkerDiedError`."""
    exited: Future[int]
    """The exit status, negative for a signal, once the process is gone and tidied up after."""

    def __init__(self, key: str, options: WorkerOptions, plan: LoadPlan) -> None:
        """Use `start`."""
        self.key = key
        self.options = options
        self.plan = plan
        self.ready = Future()
        self.exited = Future()
        # Running futures cannot be cancelled, so that one waiter that gives up takes nothing from the others.
        self.ready.set_running_or_notify_cancel()
        self.exited.set_running_or_notify_cancel()
        self._owner_pid = os.getpid()
        self._log_tail: deque[str] = deque(maxlen=LOG_TAIL_LINES)
        self._stopping = threading.Event()

    @classmethod
    def start(
        cls,
        key: str,
        path: Path,
        options: WorkerOptions = WorkerOptions(),  # noqa: B008 - frozen
        *,
        command: Sequence[str] | None = None,
        on_log: Callable[[str], None] | None = None,
        on_progress: Callable[[float], None] | None = None,
        claimed_bytes: int = 0,
    ) -> WorkerProcess:
        """Starts a worker that loads the model at `path`; returns at once, see `ready`.

        Args:
            command: what to run instead of our own worker; the same flags are added to it.
            on_log: called with each line of the worker's log, in a thread of ours.
            on_progress: called with the load's ratio while it rises from 0 towards 1, in a thread of ours, and never
                once `ready` is resolved. It is the memory that the worker holds, against what it is thought to take.
            claimed_bytes: memory that looks free, but is promised to others.

        Raises:
            BadModelFileError: a file's header says that it cannot be loaded.
            NotEnoughMemoryError: not even one slot fits into the memory that is free.
            UsageError: options that exclude each other, or the engine does not have.
        """
        plan = plan_load(key, path, options, max(0, free_memory_bytes() - claimed_bytes))
        worker = cls(key, options, plan)
        worker._spawn(command or WORKER_COMMAND, on_log, on_progress)
        return worker

    @property
    def path(self) -> Path:
        return self.plan.path

    @property
    def header(self) -> GgufHeader:
        return self.plan.header

    @property
    def memory(self) -> MemoryFit:
        """What the model was given, and what it is thought to take."""
        return self.plan.memory

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def unclaimed_bytes(self) -> int:
        """Memory that the system counts as free although this worker has mapped it, or will still take it."""
        now = None if self.exited.done() else resident(self.pid)
        if now is None:
            return 0
        return claimed_bytes(
            self.memory.needed_bytes,
            now,
            is_loaded=self._watch.is_over,
            weights_bytes=0 if self.options.use_mlock else self.plan.files_bytes,
        )

    def log_tail(self) -> tuple[str, ...]:
        """The last 40 lines of the worker's log, oldest first."""
        return tuple(self._log_tail)

    def death(self) -> WorkerDiedError:
        """The error that says how the worker ended; wait for `exited` first to know its status."""
        code = self.exited.result() if self.exited.done() else None
        hint = "The next request loads the model again."
        if self.stopping:
            words = "was stopped"
        elif code is None:
            words = "does not answer any more"
        elif code == -signal.SIGKILL:
            words = "was killed, by somebody or by a system that ran out of memory"
            hint = "The next request loads the model again. If it is memory: fewer models, slots or context tokens."
        else:
            words = f"ended by itself ({how_it_ended(code)})"
        return WorkerDiedError(
            f"The worker for {self.key} {words}.",
            exit_code=code,
            key=self.key,
            log_tail=self.log_tail(),
            hint=hint,
        )

    def stop(self) -> None:
        """Kills the worker and waits until it is gone, some milliseconds. Again, or from several threads, is fine."""
        if os.getpid() != self._owner_pid:
            return  # a forked child has no say over its parent's workers
        self._stopping.set()
        if self._process.poll() is None:
            # It holds nothing that would have to be saved, so it is not asked.
            _kill_group(self._process.pid)
        if threading.current_thread() is not self._waiter and self._waiter.is_alive():
            self._waiter.join(STOP_WAIT_S)

    def _spawn(
        self,
        command: Sequence[str],
        on_log: Callable[[str], None] | None,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self._folder = SocketFolder()
        try:
            if self.options.chat_template is not None:
                # Too long for a command line, and nothing for other users' eyes.
                (self._folder.path / CHAT_TEMPLATE_NAME).write_text(self.options.chat_template, encoding="utf-8")
            self._process = subprocess.Popen(
                [*command, *worker_flags(self.key, self.options, self.plan, self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except BaseException:
            self._folder.remove()
            raise
        name = f"roci-worker-{self._process.pid}"
        self._logger = threading.Thread(target=self._read_log, args=(on_log,), name=f"{name}-log", daemon=True)
        self._waiter = threading.Thread(target=self._wait, name=f"{name}-wait", daemon=True)
        self._watch = LoadWatch(self._process.pid, self.memory.needed_bytes, on_progress or _unheard)
        _workers.add(self)
        self._logger.start()
        self._waiter.start()

    def _read_log(self, on_log: Callable[[str], None] | None) -> None:
        assert self._process.stderr is not None
        for line in lines_of(self._process.stderr):
            self._log_tail.append(line)
            if on_log is None:
                continue
            try:
                on_log(line)
            except Exception:  # noqa: BLE001 - a broken listener must not stop the reading, or the worker would block
                _log.exception("A listener to the log of %s failed and is not called again.", self.key)
                on_log = None

    def _wait(self) -> None:
        """The life of the process from here on, and the one place that tidies up after it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for line in lines_of(process.stdout):
            self._note_ready(line)
        code = process.wait()
        self._watch.end()
        self._logger.join(LOG_END_WAIT_S)  # the log's last lines say why
        process.stdin.close()
        process.stdout.close()
        if not self._logger.is_alive():
            process.stderr.close()
        self._folder.remove()
        _workers.discard(self)
        self.exited.set_result(code)
        if not self.ready.done():
            self.ready.set_exception(self._failure(code))

    def _note_ready(self, line: str) -> None:
        try:
            ready = msgspec.json.decode(line, type=WorkerReady)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._log_tail.append(line)
            return
        if not self.ready.done():
            self._watch.end()
            self.ready.set_result(msgspec.structs.replace(ready, pid=self._process.pid))

    def _failure(self, code: int) -> Exception:
        if self.stopping:
            return self.death()
        return load_failure(
            self.key,
            self.path,
            code,
            self.log_tail(),
            needed_bytes=self.memory.needed_bytes,
            free_bytes=free_memory_bytes(),
        )

    def _forget(self) -> None:
        """Lets go of the parent's worker in a child that was forked from it, so that its pipe can hang up."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._folder.release()


def _unheard(_: float) -> None:
    """Nobody wants to know."""


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


_workers: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()


def _stop_all() -> None:
    for worker in list(_workers):
        worker.stop()


def _forget_all() -> None:
    for worker in list(_workers):
        worker._forget()  # noqa: SLF001 - same file
    _workers.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all)
