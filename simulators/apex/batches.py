"""Batches of creates that a simulated Apex takes now and carries out later.

A batch knows only when it may be carried out: after a delay by the clock and after some polls have been told to wait.
What is in it is done by the caller, once, at the first request after that moment; its results stay to be read.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

BATCHES_MAX = 1_000
"""Kept batches; the oldest finished one is forgotten when another comes."""

Results = list[dict[str, Any]]


@dataclass(slots=True, kw_only=True)
class Batch:
    """One posted batch."""

    token: str
    kind: str
    items: list[Any]
    ready_at: datetime
    polls_left: int
    """How many polls are still told that it is processing."""
    results: Results | None = None
    """Per item once carried out."""


class Batches:
    """All batches in the order they came."""

    def __init__(self) -> None:
        self._batches: OrderedDict[str, Batch] = OrderedDict()
        self._next_number = 1

    def add(self, kind: str, items: list[Any], *, now: datetime, delay_seconds: float, polls: int) -> Batch | None:
        """Take a batch; None when `BATCHES_MAX` unfinished ones are waiting."""
        if len(self._batches) >= BATCHES_MAX:
            finished = next((token for token, each in self._batches.items() if each.results is not None), None)
            if finished is None:
                return None
            del self._batches[finished]
        batch = Batch(
            token=f"batch-{self._next_number:06d}",
            kind=kind,
            items=items,
            ready_at=now + timedelta(seconds=delay_seconds),
            polls_left=polls,
        )
        self._next_number += 1
        self._batches[batch.token] = batch
        return batch

    def poll(self, kind: str, token: str) -> Batch | None:
        """Find a batch and count the poll."""
        batch = self._batches.get(token)
        if batch is None or batch.kind != kind:
            return None
        return batch

    def settle(self, now: datetime, carry_out: Callable[[Batch], Results]) -> None:
        """Carry out every batch whose time has come, in the order they were posted."""
        for batch in self._batches.values():
            if batch.results is None and batch.polls_left == 0 and batch.ready_at <= now:
                batch.results = carry_out(batch)

    def document(self) -> dict[str, Any]:
        """Describe all batches; `restore` takes it."""
        return {
            "nextNumber": self._next_number,
            "items": [
                {
                    "token": each.token,
                    "kind": each.kind,
                    "items": each.items,
                    "readyAt": each.ready_at.isoformat(),
                    "pollsLeft": each.polls_left,
                    "results": each.results,
                }
                for each in self._batches.values()
            ],
        }

    def restore(self, document: Any) -> None:
        """Take over what `document` gave; `ValueError` when it is none."""
        try:
            for item in document["items"]:
                self._batches[item["token"]] = Batch(
                    token=item["token"],
                    kind=item["kind"],
                    items=list(item["items"]),
                    ready_at=datetime.fromisoformat(item["readyAt"]),
                    polls_left=int(item["pollsLeft"]),
                    results=item["results"],
                )
            self._next_number = int(document["nextNumber"])
        except (TypeError, KeyError) as error:
            raise ValueError(f"batches: not as the state shows them: {error!r}") from error
