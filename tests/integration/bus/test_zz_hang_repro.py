"""red stress"""
from __future__ import annotations
import asyncio, random, sys, time, traceback
import pytest
from services.auditor.store import Store
from shared.bus.lease import LeaseHold, LeaseHeld, LeaseLost
from shared.ids import RandomIds
from tests.integration.auditor.house import House, new_run
from tests.support.bus import own_bus, BusUnderTest

def stack_of(task):
    out=[]
    c=task.get_coro()
    while c is not None:
        f=getattr(c,'cr_frame',None) or getattr(c,'gi_frame',None) or getattr(c,'ag_frame',None)
        if f: out.append(f"{f.f_code.co_filename.split('/')[-1]}:{f.f_lineno}:{f.f_code.co_name}")
        c=getattr(c,'cr_await',None) or getattr(c,'gi_yieldfrom',None)
    return out

async def test_cancel(own_bus, tmp_path):
    rng=random.Random(7)
    bad=[]
    store = Store.open(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    await store.migrate()
    house=await House.made(own_bus, store)
    made=await house.idle_auditor(batch_messages_max=2000)
    n=0
    t0=time.monotonic()
    while time.monotonic()-t0<60:
        n+=1
        if n%3==1: await house.conclude(new_run(), 800)
        task=asyncio.create_task(made.run())
        await asyncio.sleep(rng.random()*0.35)
        task.cancel()
        done,_=await asyncio.wait({task},timeout=4)
        if not done:
            bad.append((n,stack_of(task)))
            print("SURVIVED",n,stack_of(task),task.cancelling(),[ (t.get_name(),stack_of(t)) for t in asyncio.all_tasks() if 'pull' in t.get_name() or 'renew' in t.get_name()],file=sys.stderr)
            for _ in range(5):
                task.cancel()
                done,_=await asyncio.wait({task},timeout=2)
                if done: break
    print("rounds",n,"bad",len(bad),file=sys.stderr)
    await house.leave(); await store.close()
    assert not bad
