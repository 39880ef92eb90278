"""Poisoned events and commands: what lies on the bus, or comes from a person, and is not what it says.

Every event is decoded, and delivered to the services that take its type on a real bus: it must be refused for good
(`decide` lays it among the dead letters), or have done nothing wrong. Every command of a person gets an answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, Final

from services.applier.handlers import REQUESTS as APPLIER_REQUESTS
from services.differ.handlers import REQUESTS as DIFFER_REQUESTS
from services.extractor.handlers import REQUESTS as EXTRACTOR_REQUESTS
from shared.bus.delivery import Ack, DeadLetter, RetryIn, decide
from shared.bus.delivery import Undecodable as Unbelievable
from shared.bus.reading import foreign_marks
from shared.bus.topology import MESSAGE_BYTES_MAX, people_account
from shared.errors import AetherError
from shared.events.commands import Reply
from shared.events.envelope import Undecodable, decode
from shared.events.registry import EVENTS
from shared.failures import CATALOGUE
from tests.integration.handlers.small_house import ROUTES, Replica, SmallHouse
from tests.poison.mutations import SPOILERS, WILD, with_part, written
from tests.poison.tally import Tally, bounded

EVENT: Final = "event"
COMMAND: Final = "command"
GOLDEN: Final = Path(__file__).parents[1] / "contracts" / "events" / "golden"
STREAM: Final = "CORE"
WHO: Final = ("otto", "anna", "vera", "nobody")
REASON_BYTES_MAX: Final = 16_384
"""Of a refusal: what a person can read, and a header can hold."""


class Events:
    """Poisons events and commands, one after the other, for the services of one small house."""

    def __init__(self, house: SmallHouse, tally: Tally, rng: Random, replicas: dict[str, Replica]) -> None:
        self._house, self._tally, self._rng, self._replicas = house, tally, rng, replicas
        self._golden = {
            name: json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")) for name in sorted(EVENTS)
        }
        self._takers = [(service, route.event.event_type) for service, route in ROUTES]
        self._subjects = [
            (service, route.subject)
            for service, routes in (
                ("applier", APPLIER_REQUESTS), ("differ", DIFFER_REQUESTS), ("extractor", EXTRACTOR_REQUESTS),
            )
            for route in routes
        ]  # fmt: skip

    @classmethod
    async def made(cls, house: SmallHouse, tally: Tally, rng: Random) -> Events:
        """In a house whose run waits for a person, so that no step of it is due."""
        await house.to_drafted()
        replicas = {service: await house.replica(service) for service in ("extractor", "differ", "applier")}
        return cls(house, tally, rng, replicas)

    # --- events -----------------------------------------------------------------------------------------------------

    async def one_event(self) -> None:
        """Poison one event: its body, its headers, or what the two say of each other."""
        if self._rng.random() < 0.6:
            service, event_type = self._rng.choice(self._takers)
        else:
            service, event_type = "", self._rng.choice(list(self._golden))
        body = self._golden[event_type]
        if "run" in body and self._rng.random() < 0.7:
            body = {**body, "run": self._house.run}
        subject, headers = f"cmd.poison.{self._house.run}", self._headers(event_type)
        way = self._rng.choice([*SPOILERS, *SPOILERS, "another_type", "another_run", "bad_headers"])
        data = written(body)
        if way in SPOILERS:
            data = SPOILERS[way](self._rng, body)
        elif way == "another_type":
            data = written(self._golden[self._rng.choice(list(self._golden))])
        elif way == "another_run":
            run = self._rng.choice(["20200101T000000-aaaaaa", "20261122T083455-4k7zq2", *WILD])
            data = written({**body, "run": run})
        else:
            headers = self._bad_headers(headers)
        with self._tally.timed(EVENT, way):
            if len(data) > MESSAGE_BYTES_MAX:
                self._tally.add(EVENT, way, "the server refuses it: too large")
            elif service:
                await self._delivered(service, way, subject=subject, headers=headers, data=data)
            else:
                self._decoded(event_type, way, subject=subject, headers=headers, data=data)

    def _headers(self, event_type: str) -> dict[str, str]:
        return {
            "ce-specversion": "1.0",
            "ce-id": "poison",
            "ce-type": event_type,
            "ce-source": "/services/poison",
            "ce-subject": self._house.run,
            "ce-time": "2026-11-22T08:00:00Z",
            "Content-Type": "application/json",
            "Nats-Msg-Id": "poison",
            "Nats-Expected-Stream": STREAM,
        }

    def _bad_headers(self, headers: dict[str, str]) -> dict[str, str]:
        name = self._rng.choice(list(headers))
        kind = headers["ce-type"]
        changed = dict(headers)
        match self._rng.randrange(7):
            case 0:
                del changed[name]
            case 1:
                changed[name] = self._rng.choice(["", "x" * 5_000, "\u2603", "0.3", "2.0"])
            case 2:
                changed["ce-type"] = self._rng.choice(
                    [kind.replace(".v1", ".v2"), kind.upper(), kind + " ", "*", ">", "x"]
                )
            case 3:  # a header given twice, in another case
                del changed["ce-type"]
                changed |= {"Ce-Type": kind, "CE-TYPE": "aether.run.state.v1"}
            case 4:  # marks of an answer of the server
                changed |= {"Nats-Sequence": "1", "Nats-Stream": STREAM}
            case 5:
                changed["Nats-Expected-Stream"] = self._rng.choice(["PLAN", "core", "", "CORE "])
            case _:
                changed = {}
        return changed

    def _decoded(self, event_type: str, way: str, *, subject: str, headers: dict[str, str], data: bytes) -> None:
        try:
            decode(EVENTS[event_type], data=data, headers=headers, subject=subject)
        except Undecodable as error:
            self._refused(way, error, subject)
        except Exception as error:  # noqa: BLE001 -- any other exception is what this looks for
            self._tally.crash(EVENT, way, error)
        else:
            self._tally.add(EVENT, way, "decoded: harmless")

    async def _delivered(self, service: str, way: str, *, subject: str, headers: dict[str, str], data: bytes) -> None:
        """As the broker delivers: the marks are looked at first, and what is raised is judged by `decide`."""

        async def deliver() -> None:
            if (why := foreign_marks(headers, STREAM)) is not None:
                raise Unbelievable(f"the message is not to be believed: {why}")
            await self._replicas[service].dispatcher.dispatch(subject=subject, headers=headers, data=data)

        raised: Exception | None = None
        try:
            await bounded(deliver())
        except TimeoutError:
            self._tally.violation(EVENT, way, f"{service} hangs over {data[:200]!r}")
            self._tally.add(EVENT, way, "hang")
            return
        except Exception as error:  # noqa: BLE001 -- which exceptions come is the question
            raised = error
        match decide(raised, deliveries=1):
            case Ack():
                self._tally.add(EVENT, way, "taken: nothing was to be done")
            case RetryIn():
                assert raised is not None
                self._tally.crash(EVENT, way, raised)
            case DeadLetter() as letter if isinstance(raised, AetherError | Unbelievable):
                self._refused(way, raised, subject)
                self._tally.check_secrecy(EVENT, way, letter.reason)
            case DeadLetter():
                assert raised is not None
                self._tally.crash(EVENT, way, raised.__cause__ or raised)

    def _refused(self, way: str, error: AetherError | Unbelievable, subject: str) -> None:
        code = error.code if isinstance(error, AetherError) else "SYS_UNDECODABLE"
        self._tally.add(EVENT, way, f"refused {code}")
        self._tally.check_secrecy(EVENT, way, str(error))
        if isinstance(error, Undecodable) and subject not in str(error):
            self._tally.violation(EVENT, way, f"no place in: {str(error)[:200]!r}")
        if len(str(error)) > REASON_BYTES_MAX:
            self._tally.violation(EVENT, way, f"a reason of {len(str(error))} characters: {str(error)[:120]!r}")

    # --- commands ---------------------------------------------------------------------------------------------------

    async def one_command(self) -> None:
        """Poison one command of a person: its body, or the header that says who asks."""
        service, subject = self._rng.choice(self._subjects)
        body = self._body_for(subject)
        headers: dict[str, str] | None = {
            "Nats-Request-Info": json.dumps({"acc": people_account("staging"), "user": self._rng.choice(WHO)})
        }
        way = self._rng.choice([*SPOILERS, "wild_id", "wild_id", "bad_identity", "another_body"])
        data = written(body)
        if way in SPOILERS:
            data = SPOILERS[way](self._rng, body)
        elif way == "another_body":
            data = written(self._body_for(self._rng.choice(self._subjects)[1]))
        else:
            headers = self._bad_identity()
        if len(data) > MESSAGE_BYTES_MAX:
            self._tally.add(COMMAND, way, "the server refuses it: too large")
            return
        with self._tally.timed(COMMAND, way):
            await self._asked(service, subject, way, headers=headers, data=data)

    def _body_for(self, subject: str) -> dict[str, Any]:
        run = self._house.run
        if subject == "aether.run.request":
            return {"connector": self._house.connector, "mode": "dry-run", "version": None, "replay_of": None}
        if subject in ("aether.run.approve", "aether.run.reject"):
            signed: dict[str, Any] = self._golden["aether.plan.decided.v1"]["signed"]
            return {"signed": with_part(signed, ("approval", "run"), run)}
        if subject == "aether.guard.declare":
            return {
                "connector": self._house.connector, "entity": "contacts", "change_class": "suspend",
                "where": {"role": ["TEACHER"]}, "expected": 40, "tolerance_percent": 5.0,
                "valid_from": "2026-06-12T00:00:00Z", "valid_until": "2026-06-30T00:00:00Z", "reason": "the year ends",
            }  # fmt: skip
        if subject == "aether.guard.withdraw":
            return {"declaration": f"{self._house.connector}.4k7zq2", "reason": "changed"}
        return {"run": run, "reason": "changed"}

    def _bad_identity(self) -> dict[str, str] | None:
        deep = "[" * 100_000
        info = self._rng.choice(
            [
                "",
                "{",
                "[]",
                "null",
                '{"acc": 7}',
                f'{{"acc": "{people_account("staging")}", "user": []}}',
                deep,
                '{"acc": "x", "user": "anna"}',
                "\ud800",
            ]
        )
        return self._rng.choice(
            [None, {}, {"Nats-Request-Info": info}, {"nats-request-info": '{"acc":"STAGING_PEOPLE","user":"anna"}'}]
        )

    async def _asked(
        self, service: str, subject: str, way: str, *, headers: dict[str, str] | None, data: bytes
    ) -> None:
        answers: list[bytes] = []

        async def ask() -> None:
            answers.append(await self._replicas[service].dispatcher.answer(subject=subject, headers=headers, data=data))

        try:
            await bounded(ask())
        except TimeoutError:
            self._tally.violation(COMMAND, way, f"{subject} hangs over {data[:200]!r}")
            self._tally.add(COMMAND, way, "hang")
            return
        except Exception as error:  # noqa: BLE001 -- any exception leaves the asker waiting
            self._tally.crash(COMMAND, way, error)
            return
        reply = Reply.model_validate_json(answers[0])
        if reply.is_accepted:
            self._tally.add(COMMAND, way, "accepted")
            return
        assert reply.refusal is not None
        assert reply.refusal.code in CATALOGUE
        self._tally.add(COMMAND, way, f"refused {reply.refusal.code}")
        if len(answers[0]) > REASON_BYTES_MAX:
            self._tally.violation(COMMAND, way, f"{subject}: an answer of {len(answers[0])} bytes")
