"""A database that does not answer is waited for; a question that it refuses is a defect and is not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import ProgrammingError

from services.differ.ledger import AWAY_SECONDS, Ledger
from shared.bus.delivery import RetryIn, decide
from shared.errors import TryLater
from tests.support.bus import until
from tests.support.postgres import PostgresServer


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_database_that_does_not_answer_is_waited_for(kind: str, tmp_path: Path) -> None:
    away = {
        "sqlite": f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}",
        "postgresql": "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
    }
    ledger = Ledger(away[kind])
    for asking in (ledger.rows_accepted("tiny"), ledger.remember_rows("tiny", {}, run="20261122T075500-000001")):
        with pytest.raises(TryLater) as later:
            await asking
        assert (later.value.code, later.value.retry_after_seconds) == ("DIF_MEMORY_AWAY", AWAY_SECONDS)
        # For half an hour and not for the four minutes after which a failing message is given up.
        assert decide(later.value, 900) == RetryIn(AWAY_SECONDS)
    await ledger.close()
    # The driver's threads for connections that never came about still tell their loop that they end.
    await until(lambda: not any("_connection_worker_thread" in thread.name for thread in threading.enumerate()))


async def test_question_that_the_database_refuses_is_a_defect(postgres: PostgresServer) -> None:
    ledger = Ledger(postgres.create_database("differ_without_tables"))
    with pytest.raises(ProgrammingError):
        await ledger.rows_accepted("tiny")
    await ledger.close()
