"""What a plan costs beside the comparison: ids, commitments, leaves, pages, root, proof, and the applier's examination.

`python -m bench.plan [--changes 50000] [--creates-percent 20] [--json FILE]` makes synthetic changes of a district's
staff (updates of 3 fields, creates of 25) and times each stage by itself, in one process. Nothing is sent.

Seconds are those of the processor, so that other work on the machine counts little. The collector of cyclic garbage
runs as it would in a service; `--without-collector` shows what it costs.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from shared.events.envelope import decode
from shared.hashing.canonical import sha256_hex
from shared.hashing.commitment import committer, subject_key
from shared.hashing.merkle import inclusion_proof as path_of
from shared.hashing.merkle import leaf_hash, root_of
from shared.plan.change import Cause, Change, ChangeClass, FieldChange, Write, change_id_of, leaf_of, state_commitment
from shared.plan.document import PAGE_CHANGES_MAX, PlanHeader, PlanPage, in_order, leaves_of, plan_digest_of
from shared.plan.index import index_of, plan_digest_from_index
from shared.plan.pages import body_of_page
from shared.plan.proofs import inclusion_proof, verify_inclusion
from shared.policy.figures import EntityFigures, GuardFigures
from shared.policy.guard import guard
from shared.policy.limits import DEFAULT_POLICY
from shared.ports.wire import Value

RUN = "20261122T075500-000001"
TARGET, ENTITY = "titanhst", "staff"
MASTER = bytes(range(32))
FIELDS_UPDATED, FIELDS_CREATED, FIELDS_COMPARED = 3, 25, 25
HOT_CHANGES = 1_000
LEAVES_SIZES = (50_000, 1_000_000)
Made = TypeVar("Made")


@dataclass
class Stage:
    """One stage, measured."""

    name: str
    seconds: float
    microseconds_each: float
    peak_mb: int
    """Largest resident size of the process until the end of the stage; what earlier stages made is still held."""


class Stopwatch:
    """Measures stages, one after the other."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def measure(self, name: str, count: int, act: Callable[[], Made]) -> Made:
        """The result of the act, which handles `count` items; its time is kept and printed."""
        began = time.process_time()
        made = act()
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        stage = Stage(name, round(seconds, 4), round(seconds / max(1, count) * 1e6, 2), peak)
        self.stages.append(stage)
        print(f"{name:<44}{seconds:>9.3f} s{stage.microseconds_each:>10.2f} us each{peak:>8} MB peak")
        return made


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.without_collector:
        gc.disable()
    stopwatch = Stopwatch()
    creates = options.changes * options.creates_percent // 100
    print(f"{options.changes:,} changes, of which {creates:,} creates")
    changes = stopwatch.measure(
        "changes: ids, commitments, objects", options.changes, lambda: _changes(options, creates)
    )
    for width in (FIELDS_UPDATED, FIELDS_CREATED):
        few = [one for one in changes if len(one.fields) == width][:HOT_CHANGES]
        stopwatch.measure(f"id, after-state, leaf of {width} fields, in cache", len(few), partial(_sealed, few))
    header = plan_header(changes)
    parts = stopwatch.measure(
        "index: leaves of all changes",
        len(changes),
        lambda: index_of(changes, run=RUN, entity=ENTITY, partition=0),
    )
    entries = [entry for part in parts for entry in part.entries]
    pages = stopwatch.measure("pages: written, with their digests", len(changes), lambda: _pages(changes))
    stopwatch.measure("index: written", len(entries), lambda: [body_of_page(part) for part in parts])
    digest = stopwatch.measure(
        "digest of the plan from the index", len(entries), lambda: plan_digest_from_index(header, entries)
    )
    proof = stopwatch.measure(
        "one proof made, from the index", 1, lambda: inclusion_proof(header, entries, changes[-1].change_id)
    )
    if not verify_inclusion(digest, header=header, change=changes[-1], proof=proof):
        raise SystemExit("the proof is refused: something is wrong, and no figure above counts")
    read = stopwatch.measure("applier: pages read and checked", len(changes), lambda: _read(pages))
    found = stopwatch.measure("applier: digest and ids computed again", len(changes), lambda: _examined(header, read))
    if found != digest:
        raise SystemExit(f"pages have digest {found}, the index has {digest}: no figure above counts")
    _measure_trees(stopwatch)
    if options.json:
        document = {"changes": options.changes, "creates": creates, "stages": [asdict(one) for one in stopwatch.stages]}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=50_000)
    parser.add_argument("--creates-percent", type=int, default=20, choices=range(101), metavar="0..100")
    parser.add_argument("--without-collector", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _changes(options: argparse.Namespace, creates: int) -> list[Change]:
    return in_order(_change(number, is_new=number < creates) for number in range(options.changes))


def _change(number: int, *, is_new: bool) -> Change:
    """One finished change as the differ makes it: everything but the comparison itself."""
    key = f"{number:06}"
    key_bytes = subject_key(MASTER, f"{TARGET}/{ENTITY}/{key}")
    commitment_to = committer(key_bytes)
    # A value in Latin letters, one beyond them, a flag and a number in turn, as records have them.
    kinds: tuple[Value, ...] = (f"Sample {number}", f"Zoë Muñoz {number}", number % 2 == 0, number)
    width = FIELDS_CREATED if is_new else FIELDS_UPDATED
    after: dict[str, Value] = {f"field_{place:02}": kinds[place % 4] for place in range(width)}
    shown: dict[str, Value] = {f"field_{place:02}": f"value {place} of {number}" for place in range(FIELDS_COMPARED)}
    change_class = ChangeClass.CREATE if is_new else ChangeClass.UPDATE
    target_id = None if is_new else f"c-{key}"
    return Change(
        change_id=change_id_of(
            target=TARGET,
            entity=ENTITY,
            key=key,
            change_class=change_class,
            after_commitment=commitment_to(after),
        ),
        target=TARGET,
        entity=ENTITY,
        key=key,
        target_id=target_id,
        change_class=change_class,
        verb="create" if is_new else "update",
        fields=tuple(
            FieldChange(name=name, before=None if is_new else shown[name], after=value, cause=Cause.SOURCE_CHANGE)
            for name, value in after.items()
        ),
        precondition=None if is_new else commitment_to(shown),
        write=Write(
            method="POST" if is_new else "PATCH",
            path="/api/v1/contacts" if is_new else f"/api/v1/contacts/{target_id}",
            body=dict(after),
        ),
        commitment_key=key_bytes.hex(),
        wave=1,
    )


def plan_header(changes: Sequence[Change], *, target: str = TARGET, run: str = RUN) -> PlanHeader:
    """The header of a plan over these changes, of one entity that nobody declared anything of."""
    by_class = dict(sorted(Counter(one.change_class.value for one in changes).items()))
    figures = GuardFigures(
        entities=(
            EntityFigures(
                entity=ENTITY,
                sources=(),
                is_target_certified=True,
                live_managed=1_000_000,
                desired=1_000_000,
                changes=by_class,
            ),
        )
    )
    return PlanHeader(
        run=run,
        requester="otto",
        connector="bench",
        connector_version="1.0.0",
        release_digest="sha256:release",
        target=target,
        target_system="titanhst",
        environment="staging",
        target_serial=0,
        target_read_at="2026-11-22T07:55:00.000Z",
        entities=(),
        certificates=(),
        figures=figures,
        policy=DEFAULT_POLICY,
        verdict=guard(figures, DEFAULT_POLICY),
        excluded=(),
        changes=len(changes),
        changes_by_class=by_class,
        approvals_needed=1,
        created_at="2026-11-22T08:00:00.000Z",
        expires_at="2026-11-22T12:00:00.000Z",
    )


def _pages(changes: Sequence[Change]) -> list[tuple[bytes, str]]:
    pages = []
    for number, start in enumerate(range(0, len(changes), PAGE_CHANGES_MAX), start=1):
        part = tuple(changes[start : start + PAGE_CHANGES_MAX])
        body = body_of_page(PlanPage(run=RUN, partition=0, number=number, changes=part))
        pages.append((body, sha256_hex(body)))
    return pages


def _read(pages: Sequence[tuple[bytes, str]]) -> list[Change]:
    """As the applier reads: by the digest of the bytes, then by the form of every field."""
    changes: list[Change] = []
    headers = {"ce-type": PlanPage.event_type}
    for number, (body, digest) in enumerate(pages, start=1):
        if sha256_hex(body) != digest:
            raise SystemExit(f"page {number} has another digest")
        changes += decode(PlanPage, data=body, headers=headers, subject=f"page {number}").changes
    return in_order(changes)


def _sealed(changes: Sequence[Change]) -> None:
    for change in changes:
        _id_of(change)
        leaf_of(change)


def _id_of(change: Change) -> str:
    after = state_commitment(bytes.fromhex(change.commitment_key), {one.name: one.after for one in change.fields})
    return change_id_of(
        target=change.target,
        entity=change.entity,
        key=change.key,
        change_class=change.change_class,
        after_commitment=after,
    )


def _examined(header: PlanHeader, changes: Sequence[Change]) -> str:
    """As the applier examines: every leaf from the change, and every id from what the change would write."""
    for change in changes:
        if _id_of(change) != change.change_id:
            raise SystemExit(f"change {change.change_id} is not what its id says")
    return plan_digest_of(header, leaves_of(changes))


def _measure_trees(stopwatch: Stopwatch) -> None:
    for size in LEAVES_SIZES:
        leaves = [leaf_hash(b"leaf %d" % number) for number in range(size)]
        stopwatch.measure(f"root of {size:,} leaf hashes", size, partial(root_of, leaves))
        stopwatch.measure(f"path in a tree of {size:,}", 1, partial(path_of, leaves, index=size // 3))


if __name__ == "__main__":
    main()
