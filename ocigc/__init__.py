"""Prune, verify and understand OCI image layouts.

The commands are made of what is here; `docs/api.md` shows how to use it, `__init__.pyi` tells its types.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "api.check": ("Findings", "check"),
    "api.du": ("Consumption", "du"),
    "api.images": ("images",),
    "api.leases": ("held", "hold", "release"),
    "api.overview": ("Overview", "overview"),
    "api.planning": ("PruneOptions",),
    "api.prune": ("Pruned", "prune", "request"),
    "api.trash": ("Restored", "restore", "trashed"),
    "api.tree": ("Leaf", "tree"),
    "api.verify": ("VerifyOptions", "verify"),
    "api.watch": ("Watcher",),
    "api.why": ("Reason", "why"),
    "container": ("InUse",),
    "errors": ("CorruptError", "MalformedError", "OcigcError", "Refused", "UsageError"),
    "inuse": ("parse_in_use",),
    "rules.prune": ("Request",),
    "rules.retention": ("Policy",),
    "rules.usage": ("Usage",),
    "store.layout": ("Layout",),
    "store.policy_file": ("parse_policy",),
    "store.verification": ("Verification",),
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    # To load all of it takes longer than most commands do.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"ocigc.{_HOMES[name]}"), name)
