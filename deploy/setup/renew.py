"""Takes a password away, so that the next set-up makes another: `python -m deploy.setup.renew NAME…`.

    docker compose run --rm setup deploy.setup.renew                       what can be renewed
    docker compose run --rm setup deploy.setup.renew bus/applier           then `docker compose up --wait`

Only passwords, which nothing is remembered by. It never touches a key, without which a store, a log or a ledger could
not be read any more, nor what a server keeps by itself: PostgreSQL's administrator, the servers' word among themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.postgres.roles import all_roles
from deploy.setup.places import House
from shared.bus.topology import HOUSE_USERS

ROOT = Path("/house")
NEXT_OF_THE_BUS = (
    "next: docker compose up --wait; then let each server of the bus read its configuration:\n"
    "      docker compose exec nats1 nats-server --signal reload=1     and the same for nats2 and nats3\n"
)
NEXT_OF_DATABASES = "next: docker compose up --wait; connections take the new password as they are opened\n"


def renewable(house: House) -> list[str]:
    """What there is that can be renewed, as it is named here."""
    known = [f"bus/{user}" for user in HOUSE_USERS] + [f"databases/roles/{role}" for role in all_roles()]
    people = house.all / "people"
    if people.is_dir():
        known += [f"people/{path.name}" for path in sorted(people.iterdir())]
    return [name for name in known if (house.all / name).is_file()]


def renew(house: House, names: Sequence[str]) -> None:
    """Take these passwords away, all or none of them; `ValueError` names what is none."""
    known = renewable(house)
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: nothing here is renewed under this name; there are: {', '.join(known)}")
    for name in names:
        (house.all / name).unlink()


def main(names: Sequence[str]) -> int:
    """Entry point."""
    house = House(ROOT)
    if not names:
        sys.stdout.write("\n".join(renewable(house)) + "\n")
        return 0
    try:
        renew(house, names)
    except ValueError as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 1
    sys.stdout.write(f"taken away: {', '.join(names)}; the programs go on with what they have\n")
    if any(name.startswith("databases/") for name in names):
        sys.stdout.write(NEXT_OF_DATABASES)
    if any(not name.startswith("databases/") for name in names):
        sys.stdout.write(NEXT_OF_THE_BUS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
