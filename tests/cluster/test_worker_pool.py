"""The pool of workers: how long a shard may take."""

from __future__ import annotations

from pathlib import Path

from distributed import Client

from ocigc.cluster.worker_pool import Root, Task, WorkerPool
from ocigc.progress import SILENT
from tests.helpers.cluster import Cluster, wait_until

SLOW = """
import time
import ocigc.cluster.worker as worker
worker._SHARDS["slow"] = lambda seconds, _: time.sleep(seconds)
"""


def test_a_shard_may_take_as_much_longer_as_others_are_before_it(tmp_path: Path) -> None:
    """Runs for other layouts of a tree fill the same queues."""
    with Cluster(tmp_path) as cluster:
        cluster.worker("one", code=SLOW)
        with Client(cluster.address, set_as_default=False) as client:
            pool = WorkerPool(client, "here", 60, SILENT)
            pool.admit(Root(str(tmp_path), {}))
            tasks = [Task("slow", 0.5, "a shard", 7) for _ in range(3)]
            futures = [pool.submit(each) for each in tasks]
            assert [each.limit for each in tasks] == [60 + 70, 60 + 70 + 14, 60 + 70 + 28]
            for future in futures:
                assert pool.answer(future, 30).wrong == ""
            last = Task("slow", 0, "a shard", 7)

            def is_first() -> bool:
                pool.answer(pool.submit(last), 30)
                return last.limit == 60 + 70

            wait_until(is_first)
