"""What `ocigc` exports, for those who check types."""

from ocigc.errors import CorruptError, MalformedError, OcigcError, Refused, UsageError
from ocigc.gc.decide import Request
from ocigc.gc.protection import InUse
from ocigc.gc.retention import Policy
from ocigc.inspect.disk_usage import Consumption, du
from ocigc.inspect.lease import held, hold, release
from ocigc.inspect.summary import Overview, overview
from ocigc.inspect.tree import Leaf, tree
from ocigc.inspect.usage import Usage, images
from ocigc.inspect.why import RetainingPaths, why
from ocigc.inuse import parse_in_use
from ocigc.layout.layout import Layout
from ocigc.progress import Watcher
from ocigc.pruning.planning import PruneOptions
from ocigc.pruning.policy_file import parse_policy
from ocigc.pruning.prune import Pruned, prune, request
from ocigc.pruning.restore import Restored, restore, trashed
from ocigc.verification.check import Findings, check
from ocigc.verification.scan import Verification
from ocigc.verification.verify import VerifyOptions, verify

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
    "Refused",
    "Request",
    "Restored",
    "RetainingPaths",
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
