"""One entity of an interface document: its requests and its fields. Pure: it says, and does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from shared.http.rows import FieldShape
from shared.ports.wire import ChangeVerb
from systems.http.fields import HttpField, Part, PlaceText
from systems.http.paging import Paging, Pointer, QueryName
from systems.http.places import collision, place_of

PathText = Annotated[str, Field(pattern=r"^/[^?#\s]*$", max_length=300)]
"""Path behind `base_path`; `{id}` and `{key}` stand for the escaped id of the other side and for our key."""
FlagValues = dict[str, bool | int | str]
WriteMethod = Literal["POST", "PUT", "PATCH", "DELETE"]


def _as_mapping(written: Any) -> Any:
    return {"path": written} if isinstance(written, str) else written


class ListRequest(Part):
    """A request that reads; a text is its path."""

    path: PathText
    """Where it goes."""
    query: dict[QueryName, str] = Field(default={})
    """Query parameters; `{key}` in a value stands for our key."""
    in_list: bool = False
    """For a request by key: the answer is a list as the paging describes it, with one record or none."""


Asked = Annotated[ListRequest, BeforeValidator(_as_mapping)]


class UpdateRequest(Part):
    """How a record is changed."""

    method: Literal["PATCH", "PUT", "POST"]
    """PUT replaces the record: every field that is not read_only is sent, changed or not. The others change what they
    name."""
    path: PathText
    """With `{id}`."""
    objects: Literal["merged", "replaced"] = "merged"
    """With PATCH or POST: whether a nested object that is sent is merged into the one that is there, or replaces it;
    then all its fields are sent. Lists are always replaced."""


class OwnRequest(Part):
    """A request of its own for one purpose."""

    method: WriteMethod = "POST"
    """With which it is asked."""
    path: PathText
    """With `{id}`."""
    body: dict[str, JsonValue] | None = None
    """What it carries, the same for every record."""


class DeleteRequest(Part):
    """How a record is deleted; a text is its path, asked with DELETE."""

    method: Literal["DELETE", "POST"] = "DELETE"
    """With which it is asked."""
    path: PathText
    """With `{id}`."""


class PollClause(Part):
    """How the results of a batch are asked for when they do not come at once."""

    token: Pointer
    """Where the answer to the batch tells the batch's token."""
    path: PathText
    """Where the results lie; `{token}` stands for the token."""
    state: Pointer
    """Where that answer tells whether it is done."""
    done: list[str] = Field(min_length=1)
    """States that mean that all results are there."""
    failed: list[str] = Field(default=[])
    """States that mean that there will be none: whether anything was done is unknown then."""
    every_seconds: float = Field(default=1.0, gt=0, le=60)
    """Pause between two questions."""
    asked_max: int = Field(default=60, ge=1, le=1_000)
    """Questions after which the outcome counts as unknown."""


class BatchClause(Part):
    """Several writes in one request. Each item has a result of its own."""

    path: PathText
    """Where batches go, with POST."""
    verbs: list[Literal["create", "update"]] = Field(min_length=1)
    """Which writes go this way; suspend and reactivate by flag do where `update` is not given."""
    items: str = Field(min_length=1, max_length=60)
    """The member of the body that holds the list of records."""
    items_max: int = Field(ge=1, le=10_000)
    """Records in one request."""
    identified_by: Literal["key", "id"]
    """By which field an item names the record it changes. With `key`, every update has to send it."""
    accepted: tuple[int, ...] = (200, 202)
    """Statuses that mean that the batch was taken; each item has its own status in its result."""
    results: Pointer
    """Where the results stand, in the order of the items."""
    status: str = Field(min_length=1, max_length=60)
    """Member of a result with its status, which is read as the status of a single write would be."""
    id: str | None = Field(default=None, max_length=60)
    """Member of a result with the other side's id."""
    gather_seconds: float = Field(default=0.05, ge=0, le=5)
    """How long the first write waits for others to join it."""
    poll: PollClause | None = None
    """Left out: the results come with the answer."""


class HttpEntity(Part):
    """One kind of record and its requests."""

    list: Asked
    """The request for the whole list."""
    paging: Paging | None = None
    """How this list is cut, where it differs from the others."""
    by_id: Asked | None = None
    """The request for one record by the other side's id."""
    by_key: Asked | None = None
    """The request for one record by our key."""
    record: Pointer | None = None
    """Where the answer to a request for one record holds it, where it differs from the others."""
    create: PathText | None = None
    """Where a new record is sent to, with POST."""
    update: UpdateRequest | None = None
    delete: Annotated[DeleteRequest | None, BeforeValidator(_as_mapping)] = None
    suspend: FlagValues = Field(default={})
    """Canonical fields that take a record out of use."""
    reactivate: FlagValues = Field(default={})
    """Canonical fields that bring it back."""
    suspend_request: OwnRequest | None = None
    """In place of `suspend`: a request of its own."""
    reactivate_request: OwnRequest | None = None
    """In place of `reactivate`."""
    batch: BatchClause | None = None
    key: str | None = None
    """The canonical field that holds our key."""
    id: str | None = None
    """The canonical field that holds the other side's id."""
    constants: dict[PlaceText, JsonValue] = Field(default={})
    """What is sent besides the fields with every create, and with every update by PUT."""
    fields: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)], HttpField] = Field(min_length=1)
    """By canonical name; the first one orders the list where its paging says so."""
    ignored: tuple[str, ...] = ()
    """Names in their JSON that are known and not read."""

    @cached_property
    def shapes(self) -> tuple[FieldShape, ...]:
        """How the fields are read, in their order."""
        return tuple(field.shape(name) for name, field in self.fields.items())

    @cached_property
    def known_names(self) -> frozenset[str]:
        """Names in the other side's JSON that are known to be of no use."""
        return frozenset((*self.ignored, *(place_of(text).objects[0] for text in self.constants)))

    @cached_property
    def writable(self) -> tuple[str, ...]:
        """Fields that can be sent."""
        return tuple(name for name, field in self.fields.items() if not field.read_only)

    @cached_property
    def companions(self) -> tuple[str, ...]:
        """Fields that every update has to send, because what is left out would be emptied or not be found."""
        if self.update is not None and self.update.method == "PUT":
            return self.writable
        needed = {name for name in self.writable if self.fields[name].place.pick is not None}
        if self.update is not None and self.update.objects == "replaced":
            needed |= {name for name in self.writable if len(self.fields[name].place.objects) > 1}
        if self.batch is not None and "update" in self.batch.verbs and self.batch.identified_by == "key":
            needed |= {name for name in (self.key,) if name is not None}
        return tuple(name for name in self.writable if name in needed)

    def in_batch(self, verb: ChangeVerb) -> BatchClause | None:
        """The batch that such a write goes into; None when it goes by itself."""
        if self.batch is None or verb == "delete" or self.own_request(verb) is not None:
            return None
        if verb in self.batch.verbs:
            return self.batch
        return self.batch if verb in ("suspend", "reactivate") and self.update is None else None

    def own_request(self, verb: ChangeVerb) -> OwnRequest | None:
        """The request of its own that such a write has; None when it has none."""
        match verb:
            case "suspend":
                return self.suspend_request
            case "reactivate":
                return self.reactivate_request
            case _:
                return None

    def templates(self) -> Mapping[tuple[str, str], tuple[ChangeVerb, ...]]:
        """Method and path of every write, and what it may be."""
        found: dict[tuple[str, str], tuple[ChangeVerb, ...]] = {}
        if self.create is not None:
            found["POST", self.create] = ("create",)
        if self.update is not None:
            found[self.update.method, self.update.path] = ("update", "suspend", "reactivate")
        if self.delete is not None:
            found[self.delete.method, self.delete.path] = ("delete",)
        if self.suspend_request is not None:
            found[self.suspend_request.method, self.suspend_request.path] = ("suspend",)
        if self.reactivate_request is not None:
            found[self.reactivate_request.method, self.reactivate_request.path] = ("reactivate",)
        return found

    @model_validator(mode="after")
    def _names_are_fields(self) -> HttpEntity:
        for name in (self.key, self.id, *self.suspend, *self.reactivate):
            if name is not None and name not in self.fields:
                raise ValueError(f"{name} is not among the fields; add it there")
        for name in (*self.suspend, *self.reactivate):
            if self.fields[name].read_only:
                raise ValueError(f"{name} is read_only and cannot be set by suspend or reactivate")
        if self.id is not None and self.fields[self.id].kind != "text":
            raise ValueError(f"id: {self.id} must be of the kind text; with as_number where it is a number over there")
        return self

    @model_validator(mode="after")
    def _requests_fit(self) -> HttpEntity:
        for verb in ("suspend", "reactivate"):
            if getattr(self, verb) and getattr(self, f"{verb}_request") is not None:
                raise ValueError(f"{verb} and {verb}_request cannot both be; leave one out")
        if self.batch is not None:
            if (self.key if self.batch.identified_by == "key" else self.id) is None:
                raise ValueError(f"batch: identified_by {self.batch.identified_by}, which this entity does not name")
            if self.batch.poll is not None and "{token}" not in self.batch.poll.path:
                raise ValueError("batch: poll: path must hold {token}")
        if (self.update is not None or self.delete is not None) and (self.id is None or self.by_id is None):
            raise ValueError("what can be changed must be found again; give id and by_id")
        if self.create is not None and (self.key is None or self.by_key is None):
            raise ValueError("what can be created must be found again; give key and by_key")
        _require_placeholders(self)
        return self

    @model_validator(mode="after")
    def _places_fit(self) -> HttpEntity:
        places = {name: self.fields[name].place for name in self.writable}
        both = collision(places | {f"constant {text}": place_of(text) for text in self.constants})
        if both is not None:
            raise ValueError(f"{both[0]} and {both[1]} cannot both be written: their places are in each other's way")
        return self


def _require_placeholders(entity: HttpEntity) -> None:
    wanted: tuple[tuple[str, Any, str], ...] = (
        ("list", entity.list, ""),
        ("by_id", entity.by_id, "{id}"),
        ("update", entity.update, "{id}"),
        ("delete", entity.delete, "{id}"),
        ("suspend_request", entity.suspend_request, "{id}"),
        ("reactivate_request", entity.reactivate_request, "{id}"),
        ("batch", entity.batch, ""),
    )
    paths: list[tuple[str, str, str]] = [(name, one.path, needed) for name, one, needed in wanted if one is not None]
    if entity.create is not None:
        paths.append(("create", entity.create, ""))
    for name, path, needed in paths:
        if needed not in path:
            raise ValueError(f"{name}: the path must hold {needed}")
        rest = path.replace(needed, "") if needed else path
        if "{" in rest or "}" in rest:
            raise ValueError(f"{name}: the path may hold {needed or 'no placeholder'} and nothing else in braces")
    by_key = entity.by_key
    if by_key is not None and not any("{key}" in text for text in (by_key.path, *by_key.query.values())):
        raise ValueError("by_key: path or query must hold {key}")
