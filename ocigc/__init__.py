"""Prune, verify and understand OCI image layouts.

The commands are made of what is here; `docs/api.md` shows how to use it, `__init__.pyi` tells its types.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "verification.check": ("Findings", "check"),
    "inspect.disk_usage": ("Consumption", "du"),
    "inspect.usage": ("Usage", "images"),
    "inspect.lease": ("held", "hold", "release"),
    "inspect.summary": ("Overview", "overview"),
    "pruning.planning": ("PruneOptions",),
    "pruning.prune": ("Pruned", "prune", "request"),
    "pruning.restore": ("Restored", "restore", "trashed"),
    "inspect.tree": ("Leaf", "tree"),
    "verification.verify": ("VerifyOptions", "verify"),
    "progress": ("Watcher",),
    "inspect.why": ("RetainingPaths", "why"),
    "gc.protection": ("InUse",),
    "errors": ("CorruptError", "MalformedError", "OcigcError", "Refused", "UsageError"),
    "inuse": ("parse_in_use",),
    "gc.decide": ("Request",),
    "gc.retention": ("Policy",),
    "layout.layout": ("Layout",),
    "pruning.policy_file": ("parse_policy",),
    "verification.scan": ("Verification",),
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    # To load all of it takes longer than most commands do.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"ocigc.{_HOMES[name]}"), name)
