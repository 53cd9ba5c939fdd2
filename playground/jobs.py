"""Training in the background: one worker thread a device, which many visitors share.

A page only watches (`Worker.view`): closing it, reloading it or a slow network never touches the training,
and a page that comes back attaches again with the job's id, which is secret. Up to `SHARING` jobs take
turns of `SLICE` seconds on the device; the others wait in line, and who has used `TURN` seconds while
others wait goes to its end. Pausing gives the place up: the iterator of `training.train` is simply not
asked for the next update. Only the worker's thread touches a training, so a job stops between two updates
and never in the middle of one; a switch turned from a page is turned there too. A job in slow motion rests
between its updates while the others have the device.
"""

import atexit
import gc
import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import torch

from playground import device, previews, validation
from playground.job import Job, JobView, Request, reason
from playground.roster import Roster
from playground.spec import GenerativeModel
from playground.validation import InvalidInput, Term

SLICE = 2.0  # seconds of the device at a time
SHARING = 4  # jobs that take turns; the others wait in line
TURN = 120.0  # seconds of the device after which a job goes to the end of a line that others wait in
LEASE = 120.0  # seconds without anyone watching after which a job is paused
KEEP = 1800.0  # seconds without anyone asking after which a job and its model are forgotten
MAX_PACE = 5.0  # seconds between two updates in slow motion
MAX_JOBS = 256
MAX_OPEN = 32  # trainings in memory, from which on those that nobody watches are ended
MAX_FINISHED = 4  # jobs that are over and that a session keeps
MAX_BYTES = 2**30  # of trained models; the one asked for longest ago goes first


class Worker:
    """The thread that trains on one device, and the line of those who want it."""

    def __init__(self, where: torch.device) -> None:
        """A worker for a device; its thread starts with the first job and ends with the program."""
        self.device = where
        self._changed = threading.Condition()
        self._jobs = Roster()
        self._line: list[Job] = []
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, session: str, request: Request, *, updates: float = math.inf) -> str:
        """Put a training in line and return its id; it pauses after so many updates, one alone goes first.

        Raises:
            InvalidInput: if the session has one that is not over, or too many are under way.
        """
        with self._changed:
            job = self._jobs.add(session, request, updates, MAX_JOBS)
            self._line.insert(0 if updates == 1 else len(self._line), job)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=f"train-{self.device}", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return job.id

    def view(self, job_id: str) -> JobView:
        """How a job is now; asking keeps it alive.

        Raises:
            InvalidInput: if it is no longer there.
        """
        with self._changed:
            job = self._jobs.find(job_id)
            index = self._line.index(job) if job in self._line else -1
            return job.view(index, min(len(self._line), SHARING), SHARING)

    def attach(self, job_id: str, session: str) -> JobView:
        """Give a page that comes back, under a new session, everything of the session that has this job."""
        with self._changed:
            self._jobs.attach(job_id, session)
        return self.view(job_id)

    def pause(self, job_id: str) -> None:
        """Let go of the device after the update under way; a job that is over stays as it is."""
        with self._changed:
            self._pause(self._jobs.find(job_id), None)

    def resume(self, job_id: str, updates: float = math.inf) -> None:
        """Go back to the end of the line, a single update to its front, and pause after so many."""
        self._want(job_id, updates)

    def step(self, job_id: str) -> None:
        """Do one update, before anyone else's next turn, and pause."""
        self._want(job_id, 1)

    def change(self, job_id: str, values: Mapping[str, Any]) -> None:
        """Turn switches, by key, before the next update.

        Raises:
            InvalidInput: if the job is over, or a value is none that may be set while it runs.
        """
        with self._changed:
            job = self._jobs.alive(job_id)
            asked = job.request
            job.pending |= validation.switches(asked.spec, asked.recipe, values, running=True)
            job.version += 1

    def pace(self, job_id: str, seconds: float) -> None:
        """Slow motion: that many seconds between two updates, 0 for none."""
        with self._changed:
            job = self._jobs.alive(job_id)
            job.pace = validation.number(seconds, Term("jobs.pace"), 0, MAX_PACE)
            job.ready = min(job.ready, time.monotonic() + job.pace)
            job.version += 1
            self._changed.notify_all()

    def stop(self, job_id: str) -> None:
        """End after the update under way; the model stays as it is then."""
        with self._changed:
            job = self._jobs.find(job_id)
            job.stopping = not job.over
            if job.training is not None:
                job.training.hurry = True
            self._changed.notify_all()

    def trained(self, session: str) -> dict[str, GenerativeModel]:
        """The newest models a session has trained, as `Request.called`: in eval mode, not to be changed."""
        with self._changed:
            return self._jobs.trained(session)

    def result(self, job_id: str) -> tuple[GenerativeModel, dict[str, Any]]:
        """The model and the card of a job that is over.

        Raises:
            InvalidInput: if it is still going on or never made an update.
        """
        with self._changed:
            job = self._jobs.find(job_id)
            if job.model is None or job.card is None:
                raise InvalidInput("jobs.no_model")
            return job.model, job.card

    def close(self, timeout: float = 10.0) -> None:
        """End the thread after the update under way; what is not over is lost."""
        with self._changed:
            self._closing = True
            for job in self._jobs.values():
                if job.training is not None:
                    job.training.hurry = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _want(self, job_id: str, updates: float) -> None:
        with self._changed:
            job = self._jobs.alive(job_id)
            job.wanted, job.message, job.ready = updates, None, 0.0
            job.version += 1
            if updates == 1:  # a click on "one step" waits for nobody's training
                self._line = [job] + [other for other in self._line if other is not job]
                job.served = 0.0
            elif job not in self._line:
                self._line.append(job)
            self._changed.notify_all()

    def _pause(self, job: Job, message: Term | None) -> None:
        if job in self._line:
            self._line.remove(job)
            job.wanted, job.message = 0, message
            job.version += 1

    def _run(self) -> None:
        while True:
            with self._changed:
                job = self._pick()
            if job is None:
                return
            self._turn(job)

    def _pick(self) -> Job | None:
        """Whose turn it is: who wants to stop, else who of those with a place had the device longest ago."""
        while not self._closing:
            now = time.monotonic()
            self._expire(now)
            stopping = [job for job in self._jobs.values() if job.stopping]
            active = self._line[:SHARING]
            awake = [job for job in active if job.ready <= now]
            if stopping or awake:
                return stopping[0] if stopping else min(awake, key=lambda job: job.served)
            self._changed.wait(timeout=min([10.0, *(job.ready - now for job in active)]))
        return None

    def _turn(self, job: Job) -> None:
        """One turn on the device; nothing that goes wrong in a training ends the worker."""
        start = time.monotonic()
        try:
            if job.stopping:
                self._finish(job, "stopped")
            elif job.training is None:
                self._open(job)
            else:
                self._advance(job, start + SLICE)
        except Exception as error:  # whatever it is, the others' trainings go on
            self._finish(job, "failed", reason(error, job.request.recipe.batch_size))
        with self._changed:
            job.served = time.monotonic()
            job.used += job.served - start
            if job in self._line and job.used > TURN and len(self._line) > SHARING:
                self._line.remove(job)
                self._line.append(job)
                job.used = 0.0
        if job.over:  # give memory back, the device's included
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _open(self, job: Job) -> None:
        training = job.open(self.device)
        with self._changed:
            job.begin(training)

    def _advance(self, job: Job, until: float) -> None:
        """Updates until the turn is over, the job pauses or rests, or any job wants to stop."""
        while True:
            with self._changed:
                job.turn_switches()
            event = job.next_event()
            if event is None:
                return self._finish(job, "done")
            with self._changed:
                job.record(event)
                if job.wanted <= 0:
                    self._pause(job, None)
                if job not in self._line or job.pace or time.monotonic() > until or self._urgent():
                    return None

    def _urgent(self) -> bool:
        return self._closing or any(
            job.stopping or (job.wanted == 1 and job in self._line) for job in self._jobs.values()
        )

    def _finish(self, job: Job, state: str, message: Term | None = None) -> None:
        """Close the training and keep the model: the averaged one, or after a failure the last good one."""
        run, last, kept = job.training, None, None
        try:
            if run is not None and state == "done" and previews.possible(run.spec):
                last = run.preview()
            kept = job.harvest()
        except Exception as error:  # there is no memory for the last pass over the data either
            message = message or reason(error, job.request.recipe.batch_size)
        with self._changed:
            if job in self._line:
                self._line.remove(job)
            if run is not None and last is not None:
                job.show(run.step, last)
            job.training = job.events = None
            job.model, job.card = kept or (None, None)
            job.message = message
            job.state, job.stopping = state, False
            job.version += 1
            self._jobs.trim(job, MAX_FINISHED, MAX_BYTES)

    def _expire(self, now: float) -> None:
        """Pause what nobody watches and forget what nobody asks for."""
        for job in list(self._jobs.values()):
            if now - job.seen > LEASE and job in self._line:
                self._pause(job, Term("jobs.unwatched"))
            elif now - job.seen > KEEP:
                del self._jobs[job.id]
        opened = [job for job in self._jobs.values() if job.training is not None and not job.over]
        left = sorted((job for job in opened if now - job.seen > LEASE), key=lambda job: job.seen)
        for job in left[: max(0, len(opened) - MAX_OPEN)]:
            job.stopping = True  # optimisers and averages take five times what the model does, which is kept


_LOCK = threading.Lock()
_WORKERS: dict[str, Worker] = {}


def worker() -> Worker:
    """The worker of the device that is used now."""
    where = device.pick()
    with _LOCK:
        if str(where) not in _WORKERS:
            _WORKERS[str(where)] = Worker(where)
            # a thread that computes as Python ends would abort it
            atexit.register(_WORKERS[str(where)].close)
        return _WORKERS[str(where)]


def trained(session: str) -> dict[str, GenerativeModel]:
    """The models a session has trained, as `Request.called`: in eval mode, not to be changed."""
    return worker().trained(session)
