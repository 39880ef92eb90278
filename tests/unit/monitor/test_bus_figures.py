"""What the servers of the bus say, alone and as a cluster."""

from __future__ import annotations

from typing import Any

import httpx

from services.monitor.bus_figures import ANSWER_BYTES_MAX, BusFigures, BusState, ServerAnswer, taken

NOTHING = BusState({}, {}, {}, {})


def stream(name: str, *, leader: str | None, messages: int = 5, **more: Any) -> dict[str, Any]:
    cluster: dict[str, Any] = {"replicas": more.pop("followers", [])}
    if leader is not None:
        cluster["leader"] = leader
    return {
        "name": name,
        "cluster": cluster,
        "config": {"max_bytes": 1_000, "num_replicas": 3},
        "state": {"messages": messages, "bytes": 70},
        "consumer_detail": more.pop("consumers", []),
    }


def consumer(name: str, pending: int) -> dict[str, Any]:
    return {"name": name, "num_pending": pending, "num_ack_pending": 1, "num_redelivered": 2}


def answer(server: str, *streams: dict[str, Any], account: str = "STAGING_HOUSE") -> ServerAnswer:
    jsz = {"account_details": [{"name": account, "stream_detail": list(streams)}]}
    return ServerAnswer({"server_name": server, "slow_consumers": 4}, jsz, is_healthy=True)


def test_in_a_cluster_the_leader_of_a_stream_is_believed() -> None:
    followers = [{"current": True}, {"current": False}, {"current": True, "offline": True}]
    led = stream("CORE", leader="b", messages=9, followers=followers, consumers=[consumer("differ", 7)])
    behind = stream("CORE", leader="b", messages=2, consumers=[consumer("differ", 1)])
    state = taken(NOTHING, {"one": answer("a", behind), "two": answer("b", led), "three": None})
    assert state.up == {"one": True, "two": True, "three": False}
    core = state.streams["CORE"]
    assert (core.messages, core.bytes, core.limit_bytes, core.replicas, core.replicas_current) == (9, 70, 1_000, 3, 2)
    assert state.consumers["CORE", "differ"].pending == 7


def test_a_stream_that_nobody_leads_has_no_replica_that_is_up_to_date() -> None:
    state = taken(NOTHING, {"one": answer("a", stream("CORE", leader=None, followers=[{"current": True}]))})
    assert state.streams["CORE"].replicas_current == 0


def test_what_was_known_stays_when_nobody_answers() -> None:
    before = taken(NOTHING, {"one": answer("a", stream("CORE", leader="a", consumers=[consumer("differ", 7)]))})
    after = taken(before, {"one": None})
    assert after.up == {"one": False}
    assert (after.streams, after.consumers, after.slow_consumers) == (before.streams, before.consumers, {"one": 4})


def test_what_is_not_in_the_table_of_the_bus_makes_no_series_of_its_own() -> None:
    readers = [consumer("differ", 1), consumer("ana@example.org", 2), consumer("x9f", 3)]
    core = stream("CORE", leader="a", consumers=readers)
    state = taken(NOTHING, {"one": answer("a", core, stream("ana@example.org", leader="a"))})
    assert set(state.streams) == {"CORE"}
    assert {key: one.pending for key, one in state.consumers.items()} == {("CORE", "differ"): 1, ("CORE", "other"): 5}
    gone = taken(state, {"one": answer("a", stream("CORE", leader="a", consumers=[consumer("differ", 1)]))})
    assert set(gone.consumers) == {("CORE", "differ")}


def test_streams_of_other_accounts_are_not_told() -> None:
    assert taken(NOTHING, {"one": answer("a", stream("CORE", leader="a"), account="OTHERS")}).streams == {}


async def test_a_server_that_lies_stalls_or_sends_too_much_is_down_and_stops_nobody() -> None:
    def served(request: httpx.Request) -> httpx.Response:
        match request.url.host:
            case "good":
                if request.url.path == "/healthz":
                    return httpx.Response(503, json={"status": "unavailable"})
                body = (
                    answer("a", stream("CORE", leader="a")).jsz if request.url.path == "/jsz" else {"server_name": "a"}
                )
                return httpx.Response(200, json=body)
            case "html":
                return httpx.Response(200, text="<html>")
            case "list":
                return httpx.Response(200, json=[])
            case "large":
                return httpx.Response(200, content=b" " * (ANSWER_BYTES_MAX + 1))
            case _:
                raise httpx.ConnectError("nobody is there")

    names = ("good", "html", "list", "large", "away")
    async with httpx.AsyncClient(transport=httpx.MockTransport(served)) as client:
        bus = BusFigures([(name, f"http://{name}") for name in names], client)
        await bus.ask()
    assert bus.state.up == dict.fromkeys(names, False)  # the first one answers, and says that it is not healthy
    assert set(bus.state.streams) == {"CORE"}
    assert set(bus.state.slow_consumers) == {"good"}
