"""Custom schemas and the values users have in them (rules S)."""

from typing import Any

from simulators.google_directory.asking import Ask, Result, check_customer, done
from simulators.google_directory.errors import Refused, not_found
from simulators.google_directory.views import etag, list_document

FIELD_TYPES = frozenset({"STRING", "INT64", "BOOL", "DOUBLE", "EMAIL", "PHONE", "DATE"})
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {"INT64": (str, int), "BOOL": (bool,), "DOUBLE": (float, int)}


def merged(ask: Ask, before: dict[str, Any], change: dict[str, Any] | None) -> dict[str, Any]:
    """Say what a user's custom values become: per schema and field, null clears (S2, S3)."""
    if change is None:
        return {}
    by_name = {str(schema["schemaName"]): schema for schema in ask.directory.schemas.values()}
    after = dict(before)
    for name, values in change.items():
        if name not in by_name or (values is not None and not isinstance(values, dict)):
            raise Refused("invalid", "Invalid Input: custom_schema", rule="S2")
        fields = {field["fieldName"]: field for field in by_name[name]["fields"]}
        own = dict(after.get(name, {})) if values is not None else {}
        for field, value in (values or {}).items():
            if field not in fields or not _fits(fields[field], value):
                raise Refused("invalid", "Invalid Input: custom_schema", rule="S2")
            is_repeated = bool(fields[field].get("multiValued"))
            if value is None or value == []:
                if is_repeated and ask.verb == "patch":
                    ask.note("U7", f"PATCH cannot clear the repeated field {field}; use PUT")
                else:
                    own.pop(field, None)
            else:
                own[field] = value
        after[name] = own
    return {name: values for name, values in after.items() if values}


def _fits(field: dict[str, Any], value: Any) -> bool:
    if value is None:
        return True
    types = _PYTHON_TYPES.get(field["fieldType"], (str,))
    if not field.get("multiValued"):
        return isinstance(value, types) and (bool in types or not isinstance(value, bool))
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("value"), types) for item in value
    )


def answer(ask: Ask) -> Result:
    """Answer every schemas call (S1)."""
    directory = ask.directory
    check_customer(directory, ask.keys["customerId"])
    if ask.verb == "list":
        return Result(
            document=list_document("schemas", "schemas", list(directory.schemas.values()), switches=ask.switches)
        )
    if ask.verb == "insert":
        number = directory.next_number
        schema = schema_of(ask.body, schema_id=f"sch{number:08d}", version=1)
        if any(known["schemaName"].lower() == schema["schemaName"].lower() for known in directory.schemas.values()):
            raise Refused("duplicate")
        if not ask.pretend:
            directory.new_number()
            directory.schemas[schema["schemaId"]] = schema
        return done(ask, "created", schema["schemaId"], schema["schemaName"], document=schema)
    key = ask.keys["schemaKey"]
    found = directory.schemas.get(key) or next((s for s in directory.schemas.values() if s["schemaName"] == key), None)
    if found is None:
        raise not_found("schemaKey")
    schema_id = found["schemaId"]
    match ask.verb:
        case "get":
            return Result(document=found)
        case "delete":
            if not ask.pretend:
                del directory.schemas[schema_id]
            return done(ask, "deleted", schema_id, found["schemaName"])
        case _:
            version = int(found["etag"].rsplit("/", maxsplit=1)[1].rstrip('"')) + 1
            body = {**found, **{name: value for name, value in ask.body.items() if value is not None}}
            after = schema_of(body, schema_id=schema_id, version=version)
            changed = [name for name in ("displayName", "fields", "schemaName") if after[name] != found[name]]
            if not changed:
                return done(ask, "unchanged", schema_id, found["schemaName"], document=found)
            if not ask.pretend:
                directory.schemas[schema_id] = after
            return done(ask, "updated", schema_id, after["schemaName"], document=after, changed=changed)


def schema_of(body: dict[str, Any], *, schema_id: str, version: int) -> dict[str, Any]:
    """Make a whole schema of what a body says; what is missing or unknown is refused."""
    name, fields = body.get("schemaName"), body.get("fields")
    if not name or not fields or not body.get("displayName"):
        raise Refused("required", "Missing required field: schemaName, displayName or fields", rule="S1")
    whole = []
    for position, field in enumerate(fields):
        if not field.get("fieldName") or field.get("fieldType") not in FIELD_TYPES:
            raise Refused("invalid", f"Invalid Input: fields[{position}]", rule="S1")
        field_id = f"{schema_id}-{position:02d}"
        whole.append(
            {
                "kind": "admin#directory#schema#fieldspec",
                "fieldId": field_id,
                "etag": etag(field_id, 1),
                "displayName": field["fieldName"],
                "indexed": True,
                "readAccessType": "ALL_DOMAIN_USERS",
                "multiValued": False,
            }
            | field
        )
    return {
        "kind": "admin#directory#schema",
        "schemaId": schema_id,
        "etag": etag(schema_id, version),
        "schemaName": name,
        "displayName": body["displayName"],
        "fields": whole,
    }
