"""The auditor as a program: its wiring to the bus."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.auditor.ingest import Auditor, LogKey
from services.auditor.settings import AuditorSettings
from services.auditor.store import Store
from shared.bus.connect import client_of
from shared.bus.wiring import connected, run_service
from shared.errors import NeedsPerson
from shared.hashing.signing import KeyTextError, load_private_key
from shared.secrets import resolve

SERVICE = "auditor"
QUESTIONS_AT_ONCE = 8
REVEALS_AT_ONCE = 2


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = AuditorSettings()
    service = await connected(SERVICE, settings)
    store = Store.open(settings.database_url, password=settings.database_password)
    await store.migrate()
    auditor = Auditor(
        client=client_of(service.js),
        js=service.js,
        store=store,
        key=LogKey(private=_signing_key(settings), origin=settings.log_origin),
        clock=service.clock,
        ids=service.ids,
        registry=service.metrics,
        batch_messages_max=settings.batch_messages_max,
        listings_keep_days=settings.listings_keep_days,
        traces=service.broker.traces,
    )
    service.take_questions("aether.query.>", auditor.answer, parallel=QUESTIONS_AT_ONCE)
    service.take_named_questions("aether.reveal.change", auditor.reveal, parallel=REVEALS_AT_ONCE)
    try:
        await service.run(is_ready=auditor.is_ready, beside=auditor.run)
    finally:
        await store.close()


def _signing_key(settings: AuditorSettings) -> Ed25519PrivateKey:
    try:
        return load_private_key(resolve(settings.signing_key))
    except KeyTextError as error:
        raise NeedsPerson("SYS_SECRET", f"AETHER_SIGNING_KEY ({settings.signing_key}): {error}") from error


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
