"""What `ocigc.native` exports, for type checkers."""

from ocigc.native.blobs import ArchiveMember, MemberKind
from ocigc.native.calls import NEVER, NO_NODE, Background, Unverifiable, nodes_at, places_flagged
from ocigc.native.documents import (
    Config,
    JsonMember,
    Role,
    media_of,
    members,
    parse_children,
    parse_config,
    parse_document,
    sha256,
)
from ocigc.native.index import Entries, NameForm
from ocigc.native.ledger import Ledger, Selection
from ocigc.native.store import CHECKSUM, Detail, FateAmounts, Hashes, HashRun, Missing, Store, Swept, Verdict
from ocigc.native.system import confine, exchange, hash_core, hash_messages, map_blobs, purge, return_memory

__all__ = [
    "CHECKSUM",
    "NEVER",
    "NO_NODE",
    "ArchiveMember",
    "Background",
    "Config",
    "Detail",
    "Entries",
    "FateAmounts",
    "HashRun",
    "Hashes",
    "JsonMember",
    "Ledger",
    "MemberKind",
    "Missing",
    "NameForm",
    "Role",
    "Selection",
    "Store",
    "Swept",
    "Unverifiable",
    "Verdict",
    "confine",
    "exchange",
    "hash_core",
    "hash_messages",
    "map_blobs",
    "media_of",
    "members",
    "nodes_at",
    "parse_children",
    "parse_config",
    "parse_document",
    "places_flagged",
    "purge",
    "return_memory",
    "sha256",
]
