"""Who may give commands in a house: what its people file says, checked; or the first people, while it names nobody.

The file lies in the house's folder (`AETHER_HOUSE_FOLDER`) and holds names and roles, never a secret: passwords and
keys are made by the set-up. It writes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cli.embedded_setup import PEOPLE, PersonSpec
from shared.bus.topology import HOUSE_USERS, Role
from shared.ids import is_name
from shared.policy.approval import Identities, Person
from shared.ports.yaml_document import YamlInvalid, read_yaml
from shared.schedule.state import ITSELF

PEOPLE_MAX: Final = 500
"""Each is a user of the bus, whose configuration names them all."""


class PeopleWrong(Exception):
    """The file cannot be taken as it is; says where and why."""


class Given(BaseModel):
    """One person of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: Annotated[tuple[Role, ...], Field(min_length=1)]


class PeopleFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: Annotated[dict[str, Given], Field(max_length=PEOPLE_MAX)] = {}

    @model_validator(mode="after")
    def _can_be_users_of_the_bus(self) -> PeopleFile:
        for name, given in self.people.items():
            if not is_name(name):
                raise ValueError(f"{name[:64]!r} is no name; write small letters, digits and dashes, at most 63")
            if name in (*HOUSE_USERS, ITSELF):
                raise ValueError(f"{name} is the name of a program; give this person another")
            if len(set(given.roles)) != len(given.roles):
                raise ValueError(f"{name} has a role twice")
        # Who may not be an approver besides is said there.
        Identities(people={name: Person(roles=given.roles) for name, given in self.people.items()})
        return self


def people_of(path: Path) -> tuple[PersonSpec, ...]:
    """The people of a file; the first people when it is not there or names nobody. `PeopleWrong` says what is wrong."""
    if not path.is_file():
        return PEOPLE
    try:
        found = PeopleFile.model_validate(read_yaml(path)).people
    except YamlInvalid as invalid:
        raise PeopleWrong(str(invalid)) from None
    except ValidationError as invalid:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'people'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in invalid.errors(include_input=False, include_url=False)
        )
        raise PeopleWrong(f"{path}: {faults}") from None
    if not found:
        return PEOPLE
    return tuple(PersonSpec(name, name, given.roles) for name, given in found.items())
