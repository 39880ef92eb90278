"""Writes the roster as a OneRoster CSV bundle, 1.1 or 1.2, bulk or delta: the files and a zip with them at its root.

A bulk bundle holds what is there, with status and dateLastModified blank; a delta holds what has changed since a
moment, removals included, with both filled (O22). The same roster gives the same bytes.
"""

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulators.oneroster.rows import RACES, ROLES, Row
from simulators.oneroster.shapes import Version
from simulators.oneroster.store import DELETED, Roster

_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_USERS = (
    "enabledUser", "username", "userIds", "givenName", "familyName", "middleName", "identifier", "email", "sms",
    "phone", "agentSourcedIds", "grades", "password",
)  # fmt: skip
HEADERS: dict[Version, dict[str, tuple[str, ...]]] = {
    "1.1": {
        "academicSessions": ("title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear"),
        "classes": (
            "title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId",
            "termSourcedIds", "subjects", "subjectCodes", "periods",
        ),
        "courses": (
            "schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes",
        ),
        "demographics": (
            "birthDate", "sex", *RACES, "countryOfBirthCode", "stateOfBirthAbbreviation", "cityOfBirth",
            "publicSchoolResidenceStatus",
        ),
        "enrollments": (
            "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate",
        ),
        "orgs": ("name", "type", "identifier", "parentSourcedId"),
        "users": (*_USERS[:1], "orgSourcedIds", "role", *_USERS[1:]),
    }
}  # fmt: skip
HEADERS["1.2"] = HEADERS["1.1"] | {
    "users": (
        *_USERS, "userMasterIdentifier", "preferredGivenName", "preferredMiddleName", "preferredFamilyName",
        "primaryOrgSourcedId", "pronouns",
    ),
    "roles": ("userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId"),
    "userProfiles": (
        "userSourcedId", "profileType", "vendorId", "applicationId", "description", "credentialType", "username",
        "password",
    ),
}  # fmt: skip
_ABSENT: dict[Version, tuple[str, ...]] = {
    "1.1": ("categories", "classResources", "courseResources", "lineItems", "resources", "results"),
    "1.2": (
        "categories", "classResources", "courseResources", "lineItemLearningObjectiveIds", "lineItems",
        "lineItemScoreScales", "resources", "resultLearningObjectiveIds", "results", "resultScoreScales",
        "scoreScales", "userResources",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What to write."""

    version: Version
    since: str | None = None
    """A delta of what changed after this moment, in the form of the records; bulk when None."""
    system: str = "Simulated SIS"


def write_bundle(roster: Roster, directory: Path, bundle: Bundle) -> Path:
    """Write one bundle into a folder of its own below `directory`, and a zip beside it; return the zip."""
    mode = "bulk" if bundle.since is None else "delta"
    name = f"oneroster-{bundle.version}-{mode}"
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    archive = directory / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for stem, rows in _files(roster, bundle).items():
            data = _csv(rows)
            (folder / f"{stem}.csv").write_bytes(data)
            file.writestr(zipfile.ZipInfo(f"{stem}.csv", date_time=_ZIP_TIME), data)
    return archive


def _files(roster: Roster, bundle: Bundle) -> dict[str, list[list[str]]]:
    mode = "bulk" if bundle.since is None else "delta"
    manifest = [["propertyName", "value"], ["manifest.version", "1.0"], ["oneroster.version", bundle.version]]
    present = HEADERS[bundle.version]
    for stem in sorted((*present, *_ABSENT[bundle.version])):
        manifest.append([f"file.{stem}", mode if stem in present else "absent"])
    manifest += [["source.systemName", bundle.system], ["source.systemCode", "simulated"]]
    files = {"manifest": manifest}
    for stem, columns in present.items():
        files[stem] = [["sourcedId", "status", "dateLastModified", *columns]]
    for stem in present:
        source = "users" if stem in {"roles", "userProfiles"} else stem
        rows = roster.rows(source)
        for sourced_id in sorted(rows):
            row = rows[sourced_id]
            if not _belongs(row, bundle):
                continue
            for flat in _FLAT.get(stem, _flat_row)(row):
                base = [flat["sourcedId"], "", ""]
                if bundle.since is not None:
                    base[1:] = [row["status"], row["dateLastModified"]]
                files[stem].append(base + [_cell(flat.get(column)) for column in present[stem]])
    return files


def _belongs(row: Row, bundle: Bundle) -> bool:
    if bundle.since is None:
        return row["status"] not in DELETED
    return bool(row["dateLastModified"] > bundle.since)


def _flat_row(row: Row) -> list[Row]:
    return [row]


def _flat_user(row: Row) -> list[Row]:
    """Give a user the columns of 1.1 besides; 1.2 has no such columns and passes them over."""
    roles = row["roles"]
    first = next((role for role in roles if role["roleType"] == "primary"), roles[0])
    return [
        row
        | {
            "role": ROLES[first["role"]],
            "orgSourcedIds": list(dict.fromkeys(role["orgSourcedId"] for role in roles)),
            "userIds": [f"{{{each['type']}:{each['identifier']}}}" for each in row.get("userIds", [])],
        }
    ]


def _flat_roles(row: Row) -> list[Row]:
    return [
        role | {"sourcedId": f"{row['sourcedId']}-role-{number}", "userSourcedId": row["sourcedId"]}
        for number, role in enumerate(row["roles"], start=1)
    ]


def _flat_profiles(row: Row) -> list[Row]:
    flat: list[Row] = []
    for number, profile in enumerate(row.get("userProfiles", []), start=1):
        credential: Row = next(iter(profile.get("credentials", [])), {})
        key = profile.get("profileId", f"{row['sourcedId']}-profile-{number}")
        named = {"credentialType": credential.get("type"), "username": credential.get("username"), "password": None}
        flat.append(profile | named | {"sourcedId": key, "userSourcedId": row["sourcedId"]})
    return flat


_FLAT: dict[str, Callable[[Row], list[Row]]] = {
    "users": _flat_user,
    "roles": _flat_roles,
    "userProfiles": _flat_profiles,
}


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
