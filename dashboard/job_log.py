"""The log of a job's run: the one kept in the queue when the run is gone, else the platform's."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import TrackmapperError
from core.platforms.base import AssetReader
from jobs.records import JobRecord
from jobs.store import JobStore


@dataclass(frozen=True, slots=True)
class KeptLog:
    """The end of a log, where it is from, and why there is none."""

    text: str = ""
    source: str = ""
    """"kept here" or the platform's name."""
    trouble: str = ""


def telling_run(job: JobRecord) -> str:
    """Id of the run whose log tells most: the conversion's, the monitor's before it has started one, or ""."""
    return job.conversion_run or job.ids.run or ""


def log_key(job: JobRecord) -> tuple[str, ...]:
    """Changes when another log is to be read: the log itself grows without saying so."""
    return (job.id, job.state.value, telling_run(job), job.log_sha256)


def read_job_log(reader: AssetReader, store: JobStore, job: JobRecord, limit: int) -> KeptLog:
    """The last `limit` bytes of a job's log. Blocks; raises nothing."""
    run = telling_run(job)
    try:
        if job.log_sha256:
            return KeptLog(store.kept_log(job)[-limit:].decode("utf-8", "replace"), "kept here")
        if run and job.platform == reader.name:
            return KeptLog(reader.read_log(run, limit)[-limit:].decode("utf-8", "replace"), reader.name)
    except TrackmapperError as error:
        return KeptLog(trouble=str(error))
    return KeptLog()
