"""The exceptions of process groups."""

from __future__ import annotations


class DistError(RuntimeError):
    """Something failed in the communication between processes."""


class DistBackendError(DistError):
    """The transport (MPI) reported an error."""


class DistNetworkError(DistError):
    """The network between processes failed."""


class DistStoreError(DistError):
    """The store in which processes meet failed."""
