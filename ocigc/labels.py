"""The labels that mean something to garbage collection, as containerd reads them.

Source: containerd `core/metadata/gc.go`.
"""

from __future__ import annotations

SNAPSHOT_LABEL = "containerd.io/gc.ref.snapshot."
