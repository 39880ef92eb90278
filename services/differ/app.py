"""The differ as a program: its wiring to the bus."""

from __future__ import annotations

from services.differ.handlers import REQUESTS, ROUTES, Context
from services.differ.ledger import Ledger
from services.differ.questions import declared, history
from services.differ.settings import DifferSettings
from services.differ.subsets import QUESTION_BYTES_MAX, Subsets
from shared.bus.questions import QUESTIONS_AT_ONCE, answering
from shared.bus.wiring import connected, run_service
from shared.contract.catalog import Connectors
from shared.events.queries import DeclaredQuery, HistoryQuery, SubsetQuery
from shared.policy.identities import load_identities
from shared.ports.connections import load_connections
from shared.ports.registry import Registry
from shared.secrets import resolve

SERVICE = "differ"
PARTITIONS_AT_ONCE = 2
"""Partitions compared side by side in one process; more replicas take more."""


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = DifferSettings()
    service = await connected(SERVICE, settings)
    ledger = Ledger(settings.database_url, password=settings.database_password)
    await ledger.prepare()
    context = Context(
        js=service.js,
        committer=service.committer,
        connectors=Connectors(settings.connectors),
        connections=load_connections(settings.connections),
        registry=Registry(settings.systems, vendors_folder=settings.vendors_folder),
        identities=load_identities(settings.identities),
        ledger=ledger,
        commitment_master=resolve(settings.commitment_key).encode(),
        clock=service.clock,
        ids=service.ids,
    )
    service.take_questions(
        "aether.guard.declared",
        answering(DeclaredQuery, lambda question: declared(question, context)),
        parallel=QUESTIONS_AT_ONCE,
    )
    service.take_questions(
        "aether.guard.history",
        answering(HistoryQuery, lambda question: history(question, context)),
        parallel=QUESTIONS_AT_ONCE,
    )
    service.take_questions(
        "aether.plan.subset",
        answering(SubsetQuery, Subsets(context).answer, bytes_max=QUESTION_BYTES_MAX),
        parallel=QUESTIONS_AT_ONCE,
    )
    consumers = {"differ": PARTITIONS_AT_ONCE, "differ_outcomes": 1, "differ_expiry": 1}
    service.take(context=context, routes=ROUTES, requests=REQUESTS, consumers=consumers)
    try:
        await service.run()
    finally:
        await ledger.close()


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
