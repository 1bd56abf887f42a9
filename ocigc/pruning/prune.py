"""Prunes one layout: takes its lock, makes the plan, and has it carried out."""

from __future__ import annotations

from collections.abc import Callable

from ocigc.errors import Message, Remedy
from ocigc.hard_links import RemovedLinks
from ocigc.layout import lock
from ocigc.layout.layout import STATE, Layout
from ocigc.layout.opening import accepts_path
from ocigc.layout.snapshot import OtherLayouts
from ocigc.progress import SILENT, Watcher
from ocigc.pruning.layout_plan import Pruned, plan_layout
from ocigc.pruning.limits import would_empty
from ocigc.pruning.prune_options import PruneOptions


@accepts_path
def prune(
    layout: Layout,
    options: PruneOptions | None = None,
    *,
    confirm: Callable[[Pruned], None] | None = None,
    review: Callable[[Pruned], None] | None = None,
    watch: Watcher = SILENT,
    taken: RemovedLinks | None = None,
    elsewhere: OtherLayouts | None = None,
) -> Pruned:
    """Prunes a layout, or says what would go. Without options it does what the command does without any: it removes
    dangling images, and what nothing reaches. `review` gets every plan, also one that is made again because index.json
    has changed. Then `confirm` gets what will go, and raises Refused to keep it. `taken` are the hard links that the
    caller has removed from other layouts: an orphan whose file lost names in this way counts as unchanged. What other
    layouts need stays: those of `elsewhere`, or else those in the options.

    Raises UsageError where it is not a layout, and Refused where nothing may be changed or a step failed. Nothing is
    lost then, and the next prune finishes what was begun.
    """
    options = PruneOptions() if options is None else options
    if elsewhere is None and options.shared_with:
        from ocigc.pruning.other_layouts import SharedWith

        elsewhere = SharedWith(options.shared_with, options.request.now)
    if options.dry_run:
        with lock.shared(layout, options.wait):
            planned = _dry_run(layout, options, watch, elsewhere)
            if review is not None:
                review(planned)
            return planned
    with lock.exclusive(layout, options.wait) as state:
        # People wait for a dry run, so it does not load the modules that change a layout.
        from ocigc.pruning.real_run import prune_locked

        return prune_locked(layout, options, confirm, review, watch, taken, elsewhere, state)


def _dry_run(layout: Layout, options: PruneOptions, watch: Watcher, elsewhere: OtherLayouts | None) -> Pruned:
    if layout.dir.exists(STATE):
        from ocigc.pruning import run_directory

        run_directory.note_pending(layout, watch)
    planned = plan_layout(layout, options, watch, None, elsewhere)
    if not options.allow_empty and (what := would_empty(planned.snapshot, planned.plan, in_tree=options.in_tree)):
        watch.note(Message(f"{layout.path}: {what}; a real run is refused", Remedy.ALLOW_EMPTY))
    return planned
