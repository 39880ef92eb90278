"""What may differ from one customer's Klaxon Alerts to another's: forms of paging, proof, change and refusal."""

from typing import Literal, Self

from pydantic import Field, model_validator

from simulators.kit.switches import Switches

PagingForm = Literal["page_number", "none", "offset_limit", "cursor", "link_header", "page_header"]
AuthForm = Literal["documented", "none", "basic", "header_key", "bearer", "oauth2"]
Tier = Literal["none", "bronze", "silver", "gold"]
POINTER = r"^(/[A-Za-z][A-Za-z0-9_]*)*$"
"""A JSON pointer over members only; the empty one is the whole answer."""


class AlertsSwitches(Switches):
    """How this vendor behaves until told otherwise."""

    paging: PagingForm = "page_number"
    """How lists are cut into pages; rules K10 to K15."""
    items_pointer: str = Field(default="/page/data", pattern=POINTER)
    """Where the items of a list answer stand; empty: the answer is the bare array."""
    total_pointer: str = Field(default="/page/totalCount", pattern=POINTER)
    """Where the total stands; empty: the answer does not tell it."""
    cursor_pointer: str = Field(default="/page/nextCursor", pattern=POINTER)
    """Where the next cursor stands, with paging `cursor`."""
    is_total_in_header: bool = False
    """Whether lists carry `X-Total-Count`."""
    page_size_max: int = Field(default=1000, ge=1, le=100_000)
    """The largest page that may be asked for."""

    auth: AuthForm = "documented"
    """Which proof is taken; `documented`: a fetched token, Basic or the key header; rules K1 to K6."""
    key_header: str = Field(default="x-api-key", pattern=r"^[a-z][a-z0-9-]*$")
    """The header that carries the key."""
    token_seconds: int = Field(default=28_800, ge=1)
    """How long a fetched token is good for."""
    proof_place: Literal["either", "basic", "body"] = "either"
    """Where the token address wants the client's credentials."""

    tier: Tier = "none"
    """Which rates the customer has bought; rule K30."""

    update: Literal["both", "put", "patch"] = "both"
    """Which verbs change a contact."""
    removal: Literal["delete", "flag"] = "delete"
    """Whether a contact goes by DELETE, or only by `status` I."""
    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    """What is done with a field the vendor does not know; `ignore` accepts it without effect."""
    is_refusal_a_success: bool = False
    """Whether 400, 404, 409 and 424 come as 200 with `{"ok": false}`; successes then say `"ok": true`."""

    batch: Literal["none", "sync", "token"] = "none"
    """Whether and how several contacts go in one request; rules K40 to K43."""
    batch_items_max: int = Field(default=100, ge=1, le=10_000)
    """Items one batch may hold."""
    batch_seconds: float = Field(default=2.0, ge=0.0)
    """With batch `token`: how long the results stay pending."""

    @model_validator(mode="after")
    def _places_do_not_collide(self) -> Self:
        places = [self.items_pointer, *filter(None, (self.total_pointer,))]
        if self.paging == "cursor":
            places.append(self.cursor_pointer)
        if self.items_pointer == "" and len(places) > 1:
            raise ValueError("a bare array has no room for a total or a cursor: empty total_pointer, other paging")
        for place in places:
            if sum(other == place or other.startswith(f"{place}/") for other in places) > 1:
                raise ValueError(f"{place!r} would hold two things: give items, total and cursor places of their own")
        if self.paging == "cursor" and not self.cursor_pointer:
            raise ValueError("paging cursor needs a cursor_pointer")
        return self
