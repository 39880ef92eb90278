"""Keeps a sample district and a real one out of one house: the past of the one would stand in the ledger of the other.

Pure but for looking at the house's folder. A house is a sample district's as soon as `deploy.setup.demo` has made the
vendor's credentials; it is a real one's as soon as its connections file names a connection.
"""

from __future__ import annotations

from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from deploy.setup.house import NotThisHouse
from deploy.setup.places import House

CREDENTIALS: Final = "demo"
"""The folder of the simulated vendor's credentials, among all that the house keeps."""
_ANOTHER: Final = (
    "play the sample district in a house of its own, with ports of its own: docker compose --project-name aether-demo "
    "--profile demo up --wait"
)


def has_connections(text: str) -> bool:
    """Whether a connections file names any; one that cannot be read might."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return True
    return not isinstance(document, dict) or bool(document.get("connections"))


def refuse_after_demo(house: House, connections: str) -> None:
    """`NotThisHouse` when connections of a district's own are given to a house that played the sample district."""
    if (house.all / CREDENTIALS).is_dir() and has_connections(connections):
        raise NotThisHouse(
            "this house has played the sample district, whose people stand in its ledger, and cannot take connections "
            "of your own; take it away (docker compose --profile demo --profile tools down --volumes), or begin another"
        )


def refuse_demo(*, environment: str, connections: str) -> None:
    """`NotThisHouse` when the sample district is asked for in a house of production, or beside real connections."""
    if environment == "production":
        raise NotThisHouse(f"this house is one of production; {_ANOTHER}")
    if has_connections(connections):
        raise NotThisHouse(f"this house has connections of its own; {_ANOTHER}")
