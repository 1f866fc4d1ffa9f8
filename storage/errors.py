"""Errors named by what the caller does next. Every message says how to mend the cause."""


class SlimfrontError(Exception):
    """Base of every error that a user may read: its text is one line with the remedy in it."""


class FixInputError(SlimfrontError):
    """The user's input cannot work as it is: change the study file, the data or the command (exit code 2)."""


class NotFoundError(SlimfrontError):
    """The named study, candidate or file does not exist: list what there is, choose again (exit code 4)."""


class RetryError(SlimfrontError):
    """Nothing is wrong with the input; the same command may succeed later (exit code 1)."""


class GiveUpError(SlimfrontError):
    """The study cannot go on: read the reason, mend the cause, then resume (exit code 1)."""


class StudyExistsError(FixInputError):
    """A study of this name is stored already: resume it, delete it or choose another name."""


class StoreVersionError(FixInputError):
    """The database was written by another version of Slimfront than this one can read."""


class UsedSplitError(FixInputError):
    """The test split was used before, and nobody has said to look again: `slimfront certify NAME --again`."""


class StoreLockedError(RetryError):
    """Another process holds the database or the study: wait for it or stop it."""


class LeaseLostError(RetryError):
    """Another process has taken over the study: this one ends and writes nothing more of it."""


class StudyCancelledError(RetryError):
    """The study was cancelled while it ran: `slimfront resume NAME` goes on with it."""


class DiskFullError(GiveUpError):
    """No space is left where Slimfront writes: free some, then resume."""


class NoWorkersError(RetryError):
    """This machine cannot start workers now: mend what the text names, or run without them."""


class ElsewhereError(RetryError):
    """This machine cannot go on with a queued study: another one may, or this one when the cause is mended."""


class StudyStateError(FixInputError):
    """The study's state does not allow this step: `slimfront status NAME` shows where it stands."""


class StoreLostError(RetryError):
    """The database's server cannot be reached, or has gone away in the middle: start it, then try again."""


class StoreConflictError(GiveUpError):
    """The store holds something else under this key: the study was begun with other code, data or machine."""


class PackedFileError(FixInputError):
    """A `model.slim` is truncated, altered, of a newer version, or no such file at all: export it again."""
