"""`python -m deploy.setup`: makes what the composition needs before anything starts; may be run at every start.

It is told by its environment: AETHER_ENVIRONMENT, AETHER_CONNECTIONS (the district's connections file), AETHER_PEOPLE
(its people; without the file, the first people) and AETHER_CONNECTORS (the folder of its definitions, which is copied
to where the services read them). What it cannot take leaves everything as it is.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from cli.embedded_setup import CONNECTIONS_HINT
from deploy.setup.demo_signs import refuse_after_demo
from deploy.setup.house import NotThisHouse, Wanted, make
from deploy.setup.people import PeopleWrong, people_of
from deploy.setup.places import House
from shared.bus.topology import ENVIRONMENTS
from shared.clock import SystemClock

ROOT = Path("/house")


def copy_definitions(source: Path, target: Path) -> int:
    """Make the services' folder of definitions what the district's is; returns how many there are."""
    found = sorted(path.parent for path in source.glob("*/connector.yaml"))
    for old in target.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    for folder in found:
        shutil.copytree(folder, target / folder.name)
    return len(found)


def main() -> int:
    """Entry point."""
    told = os.environ.get("AETHER_ENVIRONMENT", "staging")
    environment = next((one for one in ENVIRONMENTS if one == told), None)
    if environment is None:
        sys.stderr.write(f"AETHER_ENVIRONMENT={told}: write {' or '.join(ENVIRONMENTS)}\n")
        return 1
    path = Path(os.environ["AETHER_CONNECTIONS"])
    connections = path.read_text(encoding="utf-8") if path.is_file() else CONNECTIONS_HINT
    house = House(ROOT)
    try:
        people = people_of(Path(os.environ.get("AETHER_PEOPLE", "")))
        refuse_after_demo(house, connections)
        make(
            house,
            Wanted(environment=environment, connections=connections, people=people),
            now=SystemClock().now(),
            say=lambda text: print(text, flush=True),  # noqa: T201 - what a person reads in the log of the set-up
        )
    except (PeopleWrong, NotThisHouse) as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 1
    number = copy_definitions(Path(os.environ["AETHER_CONNECTORS"]), house.of("definitions"))
    sys.stdout.write(
        f"the house of {environment} has its secrets, certificates and configuration; "
        f"{number} definitions, {len(people)} people\n"
        "first passwords of the console: docker compose run --rm tools deploy.setup.accounts\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
