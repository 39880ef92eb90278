"""Makes the sample district's part of the composition: `python -m deploy.setup.demo`, in the profile `demo` only.

After the set-up and the sample district: connections to the district's databases and the simulated vendor, its two
credentials (the extractor gets the one that reads), the definition that runs by schedule, and the past with which the
differ's ledger begins. It reads no secret of the district, and refuses a house that has systems of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from cli.demo_past import past_of
from deploy.setup.__main__ import ROOT
from deploy.setup.demo_signs import CREDENTIALS, refuse_demo
from deploy.setup.house import GIVEN_CONNECTIONS, Maker, NotThisHouse
from deploy.setup.places import House, give, mounted
from shared.clock import SystemClock

DISTRICT = Path("/district")
"""Where the sample district's files are, here and in the extractor."""
VENDOR_URL = "http://titanhst:8080"


def connections(*, vendor_rate_per_second: float | None = None) -> str:
    """The connections of the sample district; JSON is YAML and quotes every value."""

    def database(name: str) -> dict[str, str]:
        return {"url": f"sqlite:///{DISTRICT / name}"}

    vendor = {"base_url": VENDOR_URL, "token": mounted("vendor-read"), "write_token": mounted("vendor-write")}
    found: dict[str, dict[str, object]] = {
        "hr": {"system": "ocde_hr_sql", "environment": "staging", "settings": database("hr.db")},
        "aeries": {"system": "aeries_sql", "environment": "staging", "settings": database("aeries.db")},
        "titanhst": {"system": "titanhst", "environment": "staging", "settings": vendor},
    }
    if vendor_rate_per_second is not None:
        found["titanhst"]["rate_per_second"] = vendor_rate_per_second
    return json.dumps({"connections": found}, indent=2)


def main() -> int:
    """Entry point."""
    house, now = House(ROOT), SystemClock().now()
    told = os.environ.get("AETHER_DEMO_RATE_PER_SECOND")
    rate = float(told) if told else None
    try:
        refuse_demo(
            environment=(house.all / "environment").read_text(encoding="utf-8").strip(),
            connections=(house.all / GIVEN_CONNECTIONS).read_text(encoding="utf-8"),
        )
    except NotThisHouse as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 1
    maker = Maker(house.all, now=now, say=lambda text: None)
    read, write = maker.secret(f"{CREDENTIALS}/vendor-read"), maker.secret(f"{CREDENTIALS}/vendor-write")
    for name in ("extractor", "differ", "applier", "console"):
        give(house.of(name), "connections.yaml", connections(vendor_rate_per_second=rate))
    give(house.of("extractor"), "vendor-read", read)
    for name in ("applier", "simulator"):
        give(house.of(name), "vendor-read", read)
        give(house.of(name), "vendor-write", write)
    definitions = Path(os.environ["AETHER_CONNECTORS"])
    for path in sorted(definitions.glob("*/connector.yaml")):
        shutil.copytree(path.parent, house.of("definitions") / path.parent.name, dirs_exist_ok=True)
    past = house.of("differ") / "past.json"
    if not past.exists():
        truth = json.loads((DISTRICT / "truth.json").read_bytes())
        contacts = json.loads((DISTRICT / "titanhst.json").read_bytes())["contacts"]
        give(house.of("differ"), past.name, json.dumps(past_of(truth, contacts, now=now)))
    sys.stdout.write("the sample district is connected\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
