"""The binding of the native core (`native/ocigc.h`), typed. Nothing else imports `ocigc._native`.

A handle of the core is freed with its Python object, or sooner by `close`. Long calls run in a thread of their own:
this thread reports their progress, and an interrupt stops them before anything that they work on is freed.
"""

from importlib import import_module
from typing import Any

_EXPORTS = {
    "blobs": ("ArchiveMember", "MemberKind"),
    "calls": ("NEVER", "NO_NODE", "Background", "Unverifiable", "nodes_at", "places_flagged"),
    "documents": (
        "Config",
        "Role",
        "JsonMember",
        "media_of",
        "members",
        "parse_children",
        "parse_config",
        "parse_document",
        "sha256",
    ),
    "index": ("Entries", "NameForm"),
    "ledger": ("Ledger", "Selection"),
    "store": ("CHECKSUM", "Detail", "FateAmounts", "Hashes", "HashRun", "Missing", "Store", "Swept", "Verdict"),
    "system": ("confine", "exchange", "hash_core", "hash_messages", "map_blobs", "purge", "return_memory"),
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    # Loading all of it takes longer than a small command.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"ocigc.native.{_HOMES[name]}"), name)
