"""Switches: how a simulated vendor behaves until told otherwise, when its versions and districts differ.

A fault strikes some requests; a switch is a state of the whole vendor. A vendor declares a subclass of `Switches` whose
fields are the behaviours and whose defaults are the honest, documented ones.
"""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter


class Switches(BaseModel):
    """Base of a vendor's switches; every field needs a default and a docstring."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Switches)


class Switchboard(Generic[S]):
    """The switches as they are set now; the vendor reads `now` at each call."""

    def __init__(self, initial: S) -> None:
        self._initial = initial
        self.now = initial

    def set(self, changes: Mapping[str, Any]) -> None:
        """Change some switches and leave the others; `pydantic.ValidationError` names what does not exist or fit."""
        merged = self.now.model_dump(mode="json") | dict(changes)
        self.now = type(self._initial).model_validate(merged)

    def reset(self) -> None:
        """Back to how the simulator was started."""
        self.now = self._initial

    def document(self) -> dict[str, Any]:
        """Each switch and how it is set."""
        document: dict[str, Any] = self.now.model_dump(mode="json")
        return document


CHANGES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
"""What `PATCH /_sim/switches` takes."""
