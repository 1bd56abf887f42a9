"""Connects to a cluster: by the address of a dask scheduler, by its file, or by starting workers on this machine for
one run.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from math import inf
from typing import Any, TypeVar

from ocigc.cluster.hasher import ClusterHasher, HashRate
from ocigc.cluster.trees import Spread, each_layout
from ocigc.cluster.view import view
from ocigc.cluster.worker_pool import Root, WorkerPool
from ocigc.errors import Refused, UsageError, printable
from ocigc.layout.dirfd import Dir
from ocigc.layout.discover import Found, Results, Tree
from ocigc.progress import Watcher

_LOCAL = re.compile(r"local:([1-9][0-9]{0,3})")
_PATIENCE = 60.0  # seconds
_SHARD_SIZE = 32 << 30  # bytes
_LARGE_INDEX = 8 << 20  # bytes: some 30,000 images
_CLOSE_SECONDS = 5
_MOST_FILE = 16 << 20  # bytes

T = TypeVar("T")


class Workers:
    """Workers that see a layout or a tree as this host does."""

    def __init__(self, pool: WorkerPool, root: str, most: int, large: int) -> None:
        """`root` is the absolute path under which all see it; a shard of blobs has at most `most` bytes, and an
        index.json of `large` bytes is that of a large layout.
        """
        self._pool = pool
        self._root = root
        self._rate = HashRate()
        self._most = most
        self._large = large

    def hasher(self, path: str = ".") -> ClusterHasher:
        """The hasher for the layout at a path below the root."""
        return ClusterHasher(self._pool, self._root, path, self._rate, self._most)

    def each_layout(
        self, tree: Tree, spread: Spread[T], watch: Watcher, *, among: Sequence[Found] | None = None
    ) -> Results[T]:
        """Works on the layouts of the tree."""
        return each_layout(self._pool, self._root, tree, spread, watch, large=self._large, among=among)


@contextmanager
def connect(where: str, path: str, layouts: Sequence[str], watch: Watcher) -> Iterator[Workers]:
    """The workers of a cluster that see the same layouts below a path as this host. `local:N` starts N workers here;
    anything else is the address or the file of a scheduler.

    TLS and time-outs are as in dask's configuration. It may have three more keys: `ocigc.patience`, the seconds after
    which a silent worker counts as hanging; `ocigc.shard-size`, the most bytes in a shard of several blobs; and
    `ocigc.large-index`, the bytes of index.json from which on the workers share a layout. Raises UsageError without
    dask.distributed or where `where` is none of these, and Refused where there is no scheduler or no usable worker.
    """
    dask, distributed = _load()
    for name in [each for each in logging.root.manager.loggerDict if each.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # ocigc itself reports what goes wrong, once
    warnings.filterwarnings("ignore", module="distributed")
    patience = _number(dask, "patience", _PATIENCE, dask.utils.parse_timedelta)
    most = int(_number(dask, "shard-size", _SHARD_SIZE, dask.utils.parse_bytes))
    large = int(_number(dask, "large-index", _LARGE_INDEX, dask.utils.parse_bytes))
    with ExitStack() as stack:
        settings = _settings(where, dask, distributed, stack)
        try:
            # Nothing that a worker sends is unpickled.
            client = distributed.Client(**settings, set_as_default=False, deserializers=["dask", "msgpack"])
        except Exception as error:  # dask has errors of many kinds for this
            kind = UsageError if isinstance(error, ValueError) else Refused  # ValueError: not an address
            raise kind(f"cluster {printable(where)}: {_reason(error)}") from None
        stack.callback(_close, client)
        pool = WorkerPool(client, printable(where), patience, watch)
        root = os.path.abspath(path)
        with Dir.at(path) as directory:
            some = sorted({*layouts[:1], *layouts[len(layouts) // 2 :][:1], *layouts[-1:]})
            pool.admit(Root(root, {each: view(directory, each) for each in some}))
        yield Workers(pool, root, most, large)


def _load() -> tuple[Any, Any]:
    """The modules dask and distributed."""
    try:
        import dask
        import distributed
    except ImportError:
        raise UsageError("a cluster needs dask.distributed: pip install 'ocigc[cluster]'") from None
    except Exception as error:  # for example, its configuration cannot be parsed
        raise UsageError(f"dask cannot be loaded: {_reason(error)}") from None
    return dask, distributed


def _number(dask: Any, name: str, default: float, parse: Callable[[object], float]) -> float:
    value = dask.config.get(f"ocigc.{name}", default)
    with suppress(TypeError, ValueError, LookupError, AttributeError, OverflowError):
        if 0 < (number := parse(value)) < inf:
            return number
    shown = printable(repr(value))
    raise UsageError(f"ocigc.{name} in dask's configuration: expected a number greater than 0, not {shown}")


def _reason(error: BaseException) -> str:
    return printable(str(error).splitlines()[0] if str(error) else type(error).__name__)


def _settings(where: str, dask: Any, distributed: Any, stack: ExitStack) -> dict[str, object]:
    local = _LOCAL.fullmatch(where)
    if local is not None:
        encrypted = dask.config.get("distributed.comm.require-encryption", None)
        try:
            cluster = distributed.LocalCluster(
                n_workers=int(local[1]),
                threads_per_worker=1,
                memory_limit=0,
                protocol="tls" if encrypted else None,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        except Exception as error:
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            raise Refused(f"cluster {where}: the workers cannot be started: {_reason(cause)}") from None
        stack.callback(_close, cluster)
        return {"address": cluster}
    if os.path.isfile(where):
        return {"address": _address_in(where)}
    if ":" not in where or where.startswith("local:"):
        raise UsageError(
            f"cluster '{printable(where)}': expected the address of a scheduler as in tcp://host:8786, the file that "
            "it has written, or local:N; there is no such file"
        )
    return {"address": where}


def _address_in(path: str) -> str:
    """The address in a scheduler's file. Raises UsageError where there is none."""
    try:
        with open(path, "rb") as file:
            address = json.loads(file.read(_MOST_FILE))["address"]
    except OSError as error:
        raise UsageError(f"cluster {printable(path)}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        address = None
    if not isinstance(address, str):
        raise UsageError(f"cluster {printable(path)}: not the file of a scheduler: it has no address")
    return address


def _close(opened: Any) -> None:
    with suppress(Exception):
        opened.close(timeout=_CLOSE_SECONDS)
