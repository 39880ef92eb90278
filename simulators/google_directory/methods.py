"""Every method of the API that is simulated: verb, path, query parameters, scopes and the body it takes.

Written from the public reference; a test compares it with the vendor's discovery document.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

BASE = ("admin", "directory", "v1")
SCOPE_BASE = "https://www.googleapis.com/auth/"
COMMON_PARAMETERS = frozenset(
    [
        "$.xgafv",
        "access_token",
        "alt",
        "callback",
        "fields",
        "key",
        "oauth_token",
        "prettyPrint",
        "quotaUser",
        "uploadType",
        "upload_protocol",
    ]
)
USERS_MAX = 500
GROUPS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter."""

    kind: str = "string"
    """`string`, `boolean` or `integer` (from 1 to `most`)."""
    values: tuple[str, ...] = ()
    default: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method."""

    name: str
    """Resource and verb as in the discovery document, such as `users.list`."""
    verb: str
    template: tuple[str, ...]
    """The path below the base; `{x}` is one part, `{+x}` all the rest."""
    scopes: frozenset[str]
    """Any of these, without the common beginning."""
    parameters: dict[str, Parameter] = field(default_factory=dict)
    body: str = ""
    """The shape of the body, or nothing."""

    @property
    def resource(self) -> str:
        """The resource, without what stands below it."""
        return self.name.split(".", maxsplit=1)[0]

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.verb != "GET"

    @property
    def path(self) -> str:
        """The path with its parameters' names, fit to be logged."""
        return "/" + "/".join((*BASE, *self.template))


_TEXT = Parameter()
_FLAG = Parameter(kind="boolean")
_ORDER = Parameter(values=("ASCENDING", "DESCENDING"))
_PROJECTION = Parameter(values=("basic", "custom", "full"))
_VIEW = Parameter(values=("admin_view", "domain_public"))
_GET_USER = {"customFieldMask": _TEXT, "projection": _PROJECTION, "viewType": _VIEW}
_GROUPS = Parameter(kind="integer", default=GROUPS_MAX, most=GROUPS_MAX)


def _scopes(*names: str) -> frozenset[str]:
    return frozenset(f"admin.directory.{name}" for name in names)


_USER = _scopes("user")
_USER_READ = _scopes("user", "user.readonly")
_ALIAS = _scopes("user", "user.alias")
_ALIAS_READ = _scopes("user", "user.readonly", "user.alias", "user.alias.readonly")
_GROUP = _scopes("group")
_GROUP_READ = _scopes("group", "group.readonly")
_MEMBER = _scopes("group", "group.member")
_MEMBER_READ = _scopes("group", "group.readonly", "group.member", "group.member.readonly")
_OU = _scopes("orgunit")
_OU_READ = _scopes("orgunit", "orgunit.readonly")
_SCHEMA = _scopes("userschema")
_SCHEMA_READ = _scopes("userschema", "userschema.readonly")


def _method(
    name: str,
    verb: str,
    path: str,
    scopes: frozenset[str],
    *,
    body: str = "",
    parameters: dict[str, Parameter] | None = None,
) -> Method:
    template = tuple(path.split("/"))
    return Method(name=name, verb=verb, template=template, scopes=scopes, parameters=parameters or {}, body=body)


_LIST_USERS = {
    **_GET_USER,
    "customer": _TEXT,
    "domain": _TEXT,
    "event": Parameter(values=("add", "delete", "makeAdmin", "undelete", "update")),
    "maxResults": Parameter(kind="integer", default=100, most=USERS_MAX),
    "orderBy": Parameter(values=("email", "familyName", "givenName")),
    "pageToken": _TEXT,
    "query": _TEXT,
    "showDeleted": _TEXT,
    "sortOrder": _ORDER,
}
_LIST_GROUPS = {
    "customer": _TEXT,
    "domain": _TEXT,
    "maxResults": _GROUPS,
    "orderBy": Parameter(values=("email",)),
    "pageToken": _TEXT,
    "query": _TEXT,
    "sortOrder": _ORDER,
    "userKey": _TEXT,
}
_LIST_MEMBERS = {"includeDerivedMembership": _FLAG, "maxResults": _GROUPS, "pageToken": _TEXT, "roles": _TEXT}
_LIST_UNITS = {"orgUnitPath": _TEXT, "type": Parameter(values=("all", "children", "allIncludingParent"))}
_MEMBER_PATH = "groups/{groupKey}/members/{memberKey}"
_UNITS = "customer/{customerId}/orgunits"
_SCHEMAS = "customer/{customerId}/schemas"

METHODS = (
    _method("users.list", "GET", "users", _USER_READ | {"cloud-platform"}, parameters=_LIST_USERS),
    _method("users.insert", "POST", "users", _USER, body="User", parameters={"resolveConflictAccount": _FLAG}),
    _method("users.get", "GET", "users/{userKey}", _USER_READ, parameters=_GET_USER),
    _method("users.update", "PUT", "users/{userKey}", _USER, body="User"),
    _method("users.patch", "PATCH", "users/{userKey}", _USER, body="User"),
    _method("users.delete", "DELETE", "users/{userKey}", _USER),
    _method("users.undelete", "POST", "users/{userKey}/undelete", _USER, body="UserUndelete"),
    _method("users.makeAdmin", "POST", "users/{userKey}/makeAdmin", _USER, body="UserMakeAdmin"),
    _method("users.signOut", "POST", "users/{userKey}/signOut", _scopes("user.security")),
    _method(
        "users.aliases.list",
        "GET",
        "users/{userKey}/aliases",
        _ALIAS_READ,
        parameters={"event": Parameter(values=("add", "delete"))},
    ),
    _method("users.aliases.insert", "POST", "users/{userKey}/aliases", _ALIAS, body="Alias"),
    _method("users.aliases.delete", "DELETE", "users/{userKey}/aliases/{alias}", _ALIAS),
    _method("groups.list", "GET", "groups", _GROUP_READ, parameters=_LIST_GROUPS),
    _method("groups.insert", "POST", "groups", _GROUP, body="Group"),
    _method("groups.get", "GET", "groups/{groupKey}", _GROUP_READ),
    _method("groups.update", "PUT", "groups/{groupKey}", _GROUP, body="Group"),
    _method("groups.patch", "PATCH", "groups/{groupKey}", _GROUP, body="Group"),
    _method("groups.delete", "DELETE", "groups/{groupKey}", _GROUP),
    _method("groups.aliases.list", "GET", "groups/{groupKey}/aliases", _GROUP_READ),
    _method("groups.aliases.insert", "POST", "groups/{groupKey}/aliases", _GROUP, body="Alias"),
    _method("groups.aliases.delete", "DELETE", "groups/{groupKey}/aliases/{alias}", _GROUP),
    _method("members.list", "GET", "groups/{groupKey}/members", _MEMBER_READ, parameters=_LIST_MEMBERS),
    _method("members.insert", "POST", "groups/{groupKey}/members", _MEMBER, body="Member"),
    _method("members.get", "GET", _MEMBER_PATH, _MEMBER_READ),
    _method("members.update", "PUT", _MEMBER_PATH, _MEMBER, body="Member"),
    _method("members.patch", "PATCH", _MEMBER_PATH, _MEMBER, body="Member"),
    _method("members.delete", "DELETE", _MEMBER_PATH, _MEMBER),
    _method("members.hasMember", "GET", "groups/{groupKey}/hasMember/{memberKey}", _MEMBER_READ),
    _method("orgunits.list", "GET", _UNITS, _OU_READ, parameters=_LIST_UNITS),
    _method("orgunits.insert", "POST", _UNITS, _OU, body="OrgUnit"),
    _method("orgunits.get", "GET", _UNITS + "/{+orgUnitPath}", _OU_READ),
    _method("orgunits.update", "PUT", _UNITS + "/{+orgUnitPath}", _OU, body="OrgUnit"),
    _method("orgunits.patch", "PATCH", _UNITS + "/{+orgUnitPath}", _OU, body="OrgUnit"),
    _method("orgunits.delete", "DELETE", _UNITS + "/{+orgUnitPath}", _OU),
    _method("schemas.list", "GET", _SCHEMAS, _SCHEMA_READ),
    _method("schemas.insert", "POST", _SCHEMAS, _SCHEMA, body="Schema"),
    _method("schemas.get", "GET", _SCHEMAS + "/{schemaKey}", _SCHEMA_READ),
    _method("schemas.update", "PUT", _SCHEMAS + "/{schemaKey}", _SCHEMA, body="Schema"),
    _method("schemas.patch", "PATCH", _SCHEMAS + "/{schemaKey}", _SCHEMA, body="Schema"),
    _method("schemas.delete", "DELETE", _SCHEMAS + "/{schemaKey}", _SCHEMA),
)
SCOPES = frozenset(SCOPE_BASE + scope for method in METHODS for scope in method.scopes)


def find(verb: str, segments: tuple[str, ...]) -> tuple[Method, dict[str, str]] | None:
    """Find the method of a verb and a split, decoded path, and what the path's parameters are."""
    if segments[: len(BASE)] != BASE:
        return None
    rest = segments[len(BASE) :]
    for method in METHODS:
        if method.verb == verb and (values := _match(method.template, rest)) is not None:
            return method, values
    return None


def _match(template: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    values = dict(_bound(template, segments))
    is_open = template[-1].startswith("{+")
    fits = len(segments) >= len(template) if is_open else len(segments) == len(template)
    if not fits or any(not part.startswith("{") and part != segments[i] for i, part in enumerate(template)):
        return None
    if any(not value for name, value in values.items() if name != "orgUnitPath"):
        return None
    return values


def _bound(template: tuple[str, ...], segments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for position, part in enumerate(template[: len(segments)]):
        if part.startswith("{+"):
            yield part[2:-1], "/".join(segments[position:])
        elif part.startswith("{"):
            yield part[1:-1], segments[position]
