"""The errors of Trackmapper. Each says what happened, where, and what to do next.

TrackmapperError
├── InputError                what a person gave cannot be used; nothing was changed
│   ├── StateError            a Neuroglancer state, link or paste
│   ├── ManifestError         a manifest CSV
│   └── SettingsError         an environment variable or option
├── PlatformError             the place where assets live and conversions run
│   ├── NotFoundError         it has no such asset, file or run
│   ├── RefusedError          it said no, clearly: nothing was made
│   ├── UnavailableError      it could not be reached: nothing was sent
│   │   ├── AccessError       it refuses who we are or what we may do: nothing was made, for no job
│   │   └── ThrottledError    it asks for a pause: nothing was made
│   └── UnclearError          the answer was lost: the effect may or may not exist
├── StoreError                the queue's database
│   ├── StoreUnusableError    wrong place, wrong owner, wrong settings, damaged
│   └── StoreBusyError        a write could not get its turn, or the disk is full
└── JobError                  a job cannot do what was asked of it
    ├── NoSuchJobError        no job has this id
    ├── NotAllowedError       the job's state does not allow the action
    └── StaleRecordError      somebody else wrote the record first; read it again
"""

from __future__ import annotations


class TrackmapperError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What happened, one sentence.
        where: The file, layer, row, asset or job it happened in; empty when it is everywhere.
        cure: What to do next, one sentence.
    """

    def __init__(self, message: str, *, where: str = "", cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.cure = cure

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        if not self.cure:
            return f"{place}{self.message}"
        stop = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{place}{self.message}{stop} {self.cure}"


class InputError(TrackmapperError):
    """What a person gave cannot be used. Nothing was changed."""


class StateError(InputError):
    """A Neuroglancer state, link or paste cannot be read."""


class ManifestError(InputError):
    """A manifest CSV cannot be read."""


class SettingsError(InputError):
    """A setting has a value that cannot be used."""


class PlatformError(TrackmapperError):
    """The platform could not do what was asked."""


class NotFoundError(PlatformError):
    """The platform has no such asset, file or run."""


class RefusedError(PlatformError):
    """The platform refused, clearly: the effect was not made."""


class UnavailableError(PlatformError):
    """The platform could not be reached: nothing was sent."""


class AccessError(UnavailableError):
    """The platform refuses who we are, or what we may do. Nothing was made, and other jobs would fare no better."""


class ThrottledError(UnavailableError):
    """The platform asks for a pause. By its documentation nothing was made.

    Args:
        message, where, cure: As for every error.
        retry_after_s: How long it asks to be left alone; None when it did not say.
    """

    def __init__(self, message: str, *, where: str = "", cure: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, where=where, cure=cure)
        self.retry_after_s = retry_after_s


class UnclearError(PlatformError):
    """The answer was lost: the effect may or may not exist, and must be looked for."""


class StoreError(TrackmapperError):
    """The queue's database failed."""


class StoreUnusableError(StoreError):
    """The data folder is in the wrong place, has the wrong owner or settings, or is damaged."""


class StoreBusyError(StoreError):
    """A write could not get its turn, or the disk is full. The record is as it was."""


class JobError(TrackmapperError):
    """A job cannot do what was asked of it."""


class NoSuchJobError(JobError):
    """No job has this id."""


class NotAllowedError(JobError):
    """The job's state does not allow the action."""


class StaleRecordError(JobError):
    """Somebody else wrote the record first. Read it again."""
