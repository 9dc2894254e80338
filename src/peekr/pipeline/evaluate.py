"""Evaluation: finished spans wait here until evaluators have scored them, within bounds.

Each evaluator of each span is one task for a small pool of threads. A span goes on when its last
task is done, or when its time is up; then it says which scores are missing, and why.
"""

from __future__ import annotations

import _thread
import atexit
import importlib
import logging
import queue
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any, Callable, Optional

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan

from peekr import faults, forks
from peekr.context import internal_context
from peekr.eval import loops
from peekr.eval.evaluator import Evaluator, as_evaluators
from peekr.eval.scoring import Finding, evaluate, failed, is_evaluated
from peekr.pipeline.evaluation_job import MAX_DELAY_S, Job, Resume, too_late
from peekr.pipeline.project import project
from peekr.pipeline.waiting import trace_id_of
from peekr.record import SpanRecord
from peekr.semconv import own

__all__ = ["EvaluationStage"]

MAX_SPANS = 1_000
MAX_CHARS = 32 * 1024 * 1024
"""How much waits at most, in spans and characters of text in them (about)."""

MAX_WORKERS = 8
"""How many evaluations run at once."""

EXIT_WAIT_S = 10.0
"""How long the end of the program waits for scores, besides what it waits for the rest."""

_MAX_STUCK = 32
"""How many threads may hang in evaluators that do not come back."""

_TICK_S = 1.0
_IDLE_S = 2.0

_logger = logging.getLogger("peekr.eval")
# Set on the threads that evaluate: what ends there does not wait for them.
_evaluating = threading.local()


_Tasks = queue.SimpleQueue[tuple[Job, Evaluator]]


class EvaluationStage:
    """Has evaluators score finished spans.

    In the background (`is_async`) a span is kept and goes on when it is scored, from a thread of
    this stage; otherwise `take` waits for the scores. A root that ends while spans of its trace
    wait here waits for them, so that a trace is whole when its root goes on. What waits is bounded
    (1,000 spans, 32 million characters, 120 s each); what is beyond goes on at once, without
    scores, and says so.

    Spans that are marked as internal are not evaluated.
    """

    def __init__(
        self,
        evaluators: Sequence[Any],
        *,
        is_async: bool = True,
        chosen: Optional[Callable[[SpanRecord], bool]] = None,
        tenant_id: Optional[str] = None,
        retention_class: Optional[str] = None,
        redacted: Optional[Callable[[ReadableSpan], ReadableSpan]] = None,
    ) -> None:
        """Evaluate.

        Args:
            evaluators: Evaluators, or functions of a span.
            is_async: Do not make the thread that ends a span wait.
            chosen: Whether a span is evaluated; None for model calls that generate something.
            tenant_id: The tenant of spans that name none.
            retention_class: The retention class of spans that name none.
            redacted: Makes the span that may be seen, of one with what evaluators say.

        Raises:
            TypeError: an evaluator is none.
        """
        self._evaluators = as_evaluators(evaluators)
        self._is_async = is_async
        self._chosen = chosen
        self._tenant_id = tenant_id
        self._retention_class = retention_class
        self._redacted = redacted
        self._closed = False
        self._reset()
        _stages.add(self)
        forks.join(self)
        _register_exit()

    def _reset(self) -> None:
        self._tasks: _Tasks = queue.SimpleQueue()
        # Those that wait, in the order in which they came.
        self._jobs: dict[Job, None] = {}
        self._by_trace: dict[int, int] = {}
        self._held_roots: dict[int, list[tuple[ReadableSpan, Resume]]] = {}
        self._chars = 0
        self._open_tasks = 0
        self._workers = 0
        self._stuck = 0
        self._has_timekeeper = False
        # Reentrant: a collected stream may end its span inside any allocation made here.
        self._lock = threading.RLock()
        self._nothing_left = threading.Condition(self._lock)

    # -- on the thread that ended the span ---------------------------------------------------------

    def take(self, span: ReadableSpan, resume: Resume) -> Optional[ReadableSpan]:
        """Take one finished span; see the class."""
        if not self._is_chosen(span):
            return None if self._is_held(span, resume) else span
        is_waited_for = not self._is_async and not getattr(_evaluating, "now", False)
        deadline = time.monotonic() + MAX_DELAY_S
        job = Job(span, self._evaluators, None if is_waited_for else resume, deadline)
        why_not = self._put(job)
        if why_not:
            job.why_not = why_not
            return job.scored(self._redacted)
        if not is_waited_for:
            return None
        job.done.wait(MAX_DELAY_S)
        job.once.clear()
        self._forget(job)
        return job.scored(self._redacted)

    def _is_chosen(self, span: ReadableSpan) -> bool:
        attributes: Any = span.attributes or {}
        if self._chosen is None or attributes.get(own.PEEKR_INTERNAL):
            return is_evaluated(attributes)
        try:
            return bool(self._chosen(project(span, self._tenant_id, self._retention_class)))
        except Exception:
            _report("evaluate_filter raised; the span is not evaluated")
            return False

    def _is_held(self, span: ReadableSpan, resume: Resume) -> bool:
        """Keep a root for which spans of its trace still wait here."""
        if not self._by_trace or (span.parent is not None and not span.parent.is_remote):
            return False
        trace_id = trace_id_of(span)
        with self._lock:
            if trace_id not in self._by_trace:
                return False
            self._held_roots.setdefault(trace_id, []).append((span, resume))
            return True

    def _put(self, job: Job) -> str:
        """Queue a job; why that is impossible, or nothing."""
        with self._lock:
            if self._closed:
                return "the process was ending"
            if len(self._jobs) >= MAX_SPANS or self._chars > MAX_CHARS:
                return f"{len(self._jobs)} spans were waiting for their scores already"
            if self._stuck >= _MAX_STUCK:
                return "evaluators hang"
            self._jobs[job] = None
            self._chars += job.chars
            if not job.is_waited_for:
                self._by_trace[job.trace_id] = self._by_trace.get(job.trace_id, 0) + 1
            for evaluator in job.evaluators:
                self._open_tasks += 1
                self._tasks.put((job, evaluator))
            self._start()
            if self._workers:
                return ""
            job.once.clear()
            while not self._tasks.empty():
                self._tasks.get()
                self._open_tasks -= 1
        self._forget(job)
        return "no thread could be started"

    def _start(self) -> None:
        """Start as many threads as there is work for."""
        with self._lock:
            while self._workers < min(MAX_WORKERS, self._open_tasks):
                self._workers += 1
                if not _started(self._work, self._tasks):
                    self._workers -= 1
                    return
            if self._jobs and not self._has_timekeeper:
                self._has_timekeeper = _started(self._keep_time, self._tasks)

    # -- on the threads of the stage ---------------------------------------------------------------

    def _work(self, tasks: _Tasks) -> None:
        _evaluating.now = True
        while tasks is self._tasks:
            try:
                job, evaluator = tasks.get(timeout=_IDLE_S)
            except queue.Empty:
                break
            is_given_up = False
            try:
                is_given_up = self._do(job, evaluator)
            except Exception:
                _report("a fault while evaluating")
            if is_given_up:
                return  # another thread has taken the place of this one
        with self._lock:
            if tasks is self._tasks:
                self._workers -= 1
                if not sys.is_finalizing():
                    self._start()  # for what came while this one was about to end

    def _do(self, job: Job, evaluator: Evaluator) -> bool:
        """Do one task; True when it took so long that the stage has given this thread up."""
        with self._lock:
            is_wanted = bool(job.once)
            if is_wanted:
                job.started.add(evaluator.name)
            else:
                self._open_tasks -= 1
        if not is_wanted:
            return False
        try:
            finding = self._found(job, evaluator)
            job.findings[evaluator.name] = finding
        finally:
            with self._lock:
                is_given_up = evaluator.name not in job.started
                if is_given_up:
                    self._stuck -= 1
                else:
                    job.started.discard(evaluator.name)
                    self._open_tasks -= 1
                job.left -= 1
            if not job.left:
                self._finish(job)
        return is_given_up

    def _found(self, job: Job, evaluator: Evaluator) -> Finding:
        try:
            # Each evaluator gets a copy of its own.
            record = project(job.span, self._tenant_id, self._retention_class)
            token = otel_context.attach(internal_context(record.tenant_id, record.retention_class))
            try:
                return evaluate(evaluator, record, job.deadline - time.monotonic())
            finally:
                otel_context.detach(token)
        except BaseException as error:  # what ends a thread must not end this one
            return failed(f"{type(error).__name__}: {error}", type(error).__qualname__)

    def _finish(self, job: Job) -> None:
        """Let a span go on, once; a root that waited for it follows."""
        try:
            job.once.pop()
        except IndexError:
            return
        if job.resume is None:
            job.done.set()
            return
        try:
            self._pass_on(job.scored(self._redacted), job.resume)
        finally:
            self._forget(job)

    def _pass_on(self, span: ReadableSpan, resume: Resume) -> None:
        try:
            resume(span)
        except Exception:
            faults.report("passing on an evaluated span")

    def _forget(self, job: Job) -> None:
        """Take a job off the books; when it was the last of its trace, the root goes on."""
        roots: list[tuple[ReadableSpan, Resume]] = []
        with self._lock:
            if job not in self._jobs:
                return
            if not job.is_waited_for:
                count = self._by_trace.get(job.trace_id, 1) - 1
                if count:
                    self._by_trace[job.trace_id] = count
                else:
                    self._by_trace.pop(job.trace_id, None)
                    roots = self._held_roots.pop(job.trace_id, [])
        try:
            for root, resume in roots:
                self._pass_on(root, resume)
        finally:
            with self._lock:
                self._jobs.pop(job, None)
                self._chars -= job.chars
                self._nothing_left.notify_all()

    def _keep_time(self, tasks: _Tasks) -> None:
        """Let spans go on whose time is up; ends when nothing waits."""
        _evaluating.now = True
        while tasks is self._tasks:
            with self._lock:
                self._nothing_left.wait_for(lambda: not self._jobs, _TICK_S)
                if not self._jobs:
                    self._has_timekeeper = False
                    return
                now = time.monotonic()
                late = [job for job in self._jobs if job.deadline <= now and job.once]
            for job in late:
                self._give_up(job, too_late())

    def _give_up(self, job: Job, why_not: str) -> None:
        with self._lock:
            # Those that are at it are counted out, so that others can take their places.
            count = len(job.started)
            job.started.clear()
            self._stuck += count
            self._workers -= count
            self._open_tasks -= count
            job.why_not = why_not
        try:
            self._finish(job)
        except Exception:
            _report("a fault while giving up an evaluation")
        self._start()

    # -- the end -----------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Wait until every span that ended before has its scores; False when time ran out."""
        if getattr(_evaluating, "now", False):
            return True  # an evaluator that waits for itself
        deadline = time.monotonic() + timeout_s
        with self._lock:
            waiting = list(self._jobs)
        while waiting:
            with self._lock:
                waiting = [job for job in waiting if job in self._jobs]
                left_s = deadline - time.monotonic()
                if not waiting or left_s <= 0:
                    break
                self._nothing_left.wait(min(left_s, 0.2))
            self._start()  # the end of the interpreter may have taken threads away
        return not waiting

    def close(self, timeout_s: float) -> bool:
        """Wait as `flush`, then let go on what is left, without the scores that are missing.

        Spans that end later are not evaluated.
        """
        done = self.flush(timeout_s)
        self.release("evaluation was switched off before there was a score")
        if all(stage._closed for stage in list(_stages)):
            loops.stop()
        return done

    def release(self, why_not: str = "the process ended before there was a score") -> None:
        """Let every span go on that waits, without the scores that are missing.

        Spans that end later are not evaluated.
        """
        self._closed = True
        with self._lock:
            left = list(self._jobs)
        for job in left:
            self._give_up(job, why_not)
        if left:
            _logger.warning(
                "peekr: %d %s stored without %s scores: %s",
                len(left),
                "span was" if len(left) == 1 else "spans were",
                "its" if len(left) == 1 else "their",
                why_not,
            )

    def after_fork(self) -> None:
        """Begin anew in a fork's child: what waits is the parent's to store."""
        self._reset()


def _started(run: Callable[[Any], None], argument: Any) -> bool:
    try:
        # Not threading.Thread: its start takes locks that a finalizer must not wait for, and would
        # carry the session that is current here along.
        _thread.start_new_thread(run, (argument,))
    except RuntimeError:
        return False  # too many threads, or too late for one
    return True


_said: set[str] = set()


def _report(what: str) -> None:
    if what not in _said:
        _said.add(what)
        _logger.warning("peekr: %s", what, exc_info=True)


_stages: weakref.WeakSet[EvaluationStage] = weakref.WeakSet()
_is_exit_registered = False


def _register_exit() -> None:
    """Wait for scores before the interpreter takes thread pools away, which judges may need.

    Event loops resolve names in one. Exit handlers run too late for that; what threading offers to
    the standard library's own pools is not public, so it may be missing.
    """
    global _is_exit_registered
    if _is_exit_registered:
        return
    _is_exit_registered = True
    importlib.import_module("concurrent.futures.thread")  # registered first, it is called last
    register = getattr(threading, "_register_atexit", atexit.register)
    try:
        register(_wait_at_exit)
    except RuntimeError:
        pass  # the interpreter is ending


def _wait_at_exit() -> None:
    deadline = time.monotonic() + EXIT_WAIT_S
    for stage in list(_stages):
        try:
            stage.flush(max(0.0, deadline - time.monotonic()))
        except Exception:
            _report("a fault while waiting for scores")
