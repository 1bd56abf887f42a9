"""Prune, verify and understand OCI image layouts.

The commands are made of what is here; `docs/api.md` shows how to use it.
"""

from ocigc.api.images import images
from ocigc.api.leases import held, hold, release
from ocigc.api.planning import PruneOptions
from ocigc.api.prune import Pruned, prune, request
from ocigc.api.trash import Restored, restore, trashed
from ocigc.api.verify import VerifyOptions, verify
from ocigc.api.watch import Watcher
from ocigc.container import InUse
from ocigc.errors import CorruptError, MalformedError, OcigcError, Refused, UsageError
from ocigc.inuse import parse as parse_in_use
from ocigc.rules.prune import Request
from ocigc.rules.usage import Usage
from ocigc.store.layout import Layout
from ocigc.store.verification import Verification

__all__ = [
    "CorruptError",
    "InUse",
    "Layout",
    "MalformedError",
    "OcigcError",
    "PruneOptions",
    "Pruned",
    "Refused",
    "Request",
    "Restored",
    "Usage",
    "UsageError",
    "Verification",
    "VerifyOptions",
    "Watcher",
    "held",
    "hold",
    "images",
    "parse_in_use",
    "prune",
    "release",
    "request",
    "restore",
    "trashed",
    "verify",
]
