"""The jobs of one device by their secret ids: which sessions they belong to, and which are forgotten."""

import time

from playground.job import Job, Request
from playground.spec import GenerativeModel
from playground.validation import InvalidInput

_SESSIONS = 8  # a job remembers: a page that is reloaded comes back under a new one


class Roster(dict[str, Job]):
    """Jobs by id; the worker's lock guards it."""

    def add(self, session: str, request: Request, wanted: float, limit: int) -> Job:
        """A new job of a session.

        Raises:
            InvalidInput: if the session has one that is not over, or `limit` are under way.
        """
        alive = [job for job in self.values() if not job.over and not job.stopping]
        for job in alive:
            if session in job.sessions:
                raise InvalidInput("jobs.busy", model=job.request.spec.title)
        if len(alive) >= limit:
            raise InvalidInput("jobs.full", maximum=limit)
        job = Job(request, [session], wanted)
        self[job.id] = job
        return job

    def find(self, job_id: str) -> Job:
        """A job; asking for it keeps it alive.

        Raises:
            InvalidInput: if it is no longer there.
        """
        job = self.get(job_id) if isinstance(job_id, str) else None
        if job is None:
            raise InvalidInput("jobs.unknown")
        job.seen = time.monotonic()
        return job

    def alive(self, job_id: str) -> Job:
        """A job that goes on.

        Raises:
            InvalidInput: if it is no longer there, is over, or is about to be.
        """
        job = self.find(job_id)
        if job.over or job.stopping:
            raise InvalidInput("jobs.over")
        return job

    def attach(self, job_id: str, session: str) -> None:
        """Give a session everything of those sessions that have this job."""
        before = set(self.find(job_id).sessions)
        for job in self.values():
            if before & set(job.sessions) and session not in job.sessions:
                job.sessions = [*job.sessions[1 - _SESSIONS :], session]

    def trained(self, session: str) -> dict[str, GenerativeModel]:
        """The models a session has trained, as `Request.called`, the newest of each; asking keeps them."""
        mine = [job for job in self.values() if session in job.sessions and job.model is not None]
        for job in mine:
            job.seen = time.monotonic()
        return {job.request.called: job.model for job in mine if job.model is not None}

    def trim(self, newest: Job, per_session: int, num_bytes: int) -> None:
        """Forget what is over and finds no room in a session or the memory, the longest unasked-for first."""
        over = sorted((job for job in self.values() if job.over and job is not newest), key=lambda j: j.seen)
        mine = [job for job in over if set(job.sessions) & set(newest.sessions)]
        gone = mine[: max(0, len(mine) + 1 - per_session)]
        kept = [job for job in over if job not in gone]
        while kept and sum(job.num_bytes for job in (*kept, newest)) > num_bytes:
            gone.append(kept.pop(0))
        for job in gone:
            del self[job.id]
