"""What a store does for those who run studies: a queue, and leases that let one process write a study at a time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, Self

from storage.records.lease import Lease
from storage.records.study import Study, StudyState


class StudyQueue(Protocol):
    """The part of a StudyStore that says who runs what.

    A lease is a study's owner, the attempt that it is of, and the time until which it holds by the store's own clock:
    machines whose clocks differ agree. Whoever holds one renews it, at least three times as often as it runs out, and
    writes through `under`, where every write is refused once the lease is another's. Claims are exactly-once; what was
    computed and not stored when a process died is computed again.
    """

    def now(self) -> float:
        """Seconds since the epoch, UTC, by the store's clock."""
        ...

    def claim(self, name: str, owner: str, seconds: float) -> Lease:
        """The lease of a study that nobody runs, which is running from then on. The same owner again gets what it has.

        StoreLockedError while another's lease holds; StudyStateError if the study may not run.
        """
        ...

    def claim_next(self, owner: str, seconds: float, trusts_code: bool, without: Collection[str] = ()) -> Lease | None:
        """The lease of the study that is next in the queue: of those that are queued, or whose lease has run out, the
        one of the highest priority that has waited longest. None if there is none. An owner that has a study gets it.

        Without `trusts_code` studies that run code of the user's are left to others, as are those named in `without`.
        One whose owners have died again
        and again without getting on fails, and one that was to be cancelled is.
        """
        ...

    def renew(self, lease: Lease, progress: str) -> StudyState:
        """Lets the lease hold for its seconds from now on, also if it has run out and nobody has come; whoever knows
        that its owner is dead gives it none. LeaseLostError if somebody has come.

        Returns the study's state: "cancelling" asks its owner to end.
        """
        ...

    def cancel(self, name: str) -> Study:
        """The study, cancelled if nobody runs it, else cancelling. StudyStateError if it is over."""
        ...

    def requeue(self, name: str) -> Study:
        """The study, queued again. FixInputError for one that was not submitted; StoreLockedError while a lease holds;
        StudyStateError if it has succeeded."""
        ...

    def identity(self) -> str:
        """A random text that is this store's alone, whatever it is called."""
        ...

    def check_writable(self) -> None:
        """FixInputError for a store that may only be read."""
        ...

    def under(self, lease: Lease) -> Self:
        """This store for the holder of a lease: writes of its study raise LeaseLostError once it is another's.

        It shares its connections with this one, which is to be closed.
        """
        ...
