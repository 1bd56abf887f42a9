"""What `ocigc` exports, for those who check types."""

from ocigc.api.check import Findings, check
from ocigc.api.du import Consumption, du
from ocigc.api.images import images
from ocigc.api.leases import held, hold, release
from ocigc.api.overview import Overview, overview
from ocigc.api.planning import PruneOptions
from ocigc.api.prune import Pruned, prune, request
from ocigc.api.trash import Restored, restore, trashed
from ocigc.api.tree import Leaf, tree
from ocigc.api.verify import VerifyOptions, verify
from ocigc.api.watch import Watcher
from ocigc.api.why import Reason, why
from ocigc.container import InUse
from ocigc.errors import CorruptError, MalformedError, OcigcError, Refused, UsageError
from ocigc.inuse import parse_in_use
from ocigc.rules.prune import Request
from ocigc.rules.retention import Policy
from ocigc.rules.usage import Usage
from ocigc.store.layout import Layout
from ocigc.store.policy_file import parse_policy
from ocigc.store.verification import Verification

__all__ = [
    "Consumption",
    "CorruptError",
    "Findings",
    "InUse",
    "Layout",
    "Leaf",
    "MalformedError",
    "OcigcError",
    "Overview",
    "Policy",
    "PruneOptions",
    "Pruned",
    "Reason",
    "Refused",
    "Request",
    "Restored",
    "Usage",
    "UsageError",
    "Verification",
    "VerifyOptions",
    "Watcher",
    "check",
    "du",
    "held",
    "hold",
    "images",
    "overview",
    "parse_in_use",
    "parse_policy",
    "prune",
    "release",
    "request",
    "restore",
    "trashed",
    "tree",
    "verify",
    "why",
]
