"""Reads of staff: the people, their jobs, their teacher numbers and the sections they teach.

Pure over the year it is given. Staff comes as one array that any of its properties can filter (README rule A12).
"""

from simulators.aeries_api import fields
from simulators.aeries_api.asking import Asked, Refused, number
from simulators.aeries_api.fields import Kind, Row
from simulators.aeries_api.finding import Found, Listing, Single, there


def find_staff(asked: Asked) -> Found | None:
    """Find what a path about staff asks for; None when it is about something else."""
    found: Found | None = None
    year = asked.year
    match asked.words:
        case ("staff",):
            found = Listing(area="Staff Data", collection="staff", shape=fields.STAFF, rows=_filtered_staff(asked))
        case ("staff", "hrid", _):
            found = Single(
                area="Staff Data",
                shape=fields.STAFF,
                row=there(year.staff_with_hrid(asked.path[2]), area="Staff Data"),
            )
        case ("staff", text):
            found = Single(area="Staff Data", shape=fields.STAFF, row=_staff_member(asked, text))
        case ("staff", text, "assignments", *rest) if len(rest) <= 2:
            found = _assignments(asked, text=text, rest=rest)
        case ("assignments", "date", y, m, d, kind):
            day = f"{number(y, name='year'):04d}-{number(m, name='month'):02d}-{number(d, name='day'):02d}T00:00:00"
            rows = [
                row
                for row in year.grouped["assignments"].rows
                if row.get("AssignmentType", "").lower() == kind
                and (row.get("StartDate") or "") <= day <= (row.get("EndDate") or "9999")
            ]
            found = Listing(area="Staff Data", collection="assignments", shape=fields.ASSIGNMENT, rows=rows)
        case ("staff", text, "teachers"):
            staff_id = _staff_member(asked, text)["ID"]
            rows = [
                row
                for row in year.grouped["teachers"].rows
                if staff_id in (row.get("StaffID1", 0), row.get("StaffID2", 0))
            ]
            found = Listing(area="Teacher Data", collection="teachers", shape=fields.TEACHER, rows=rows)
        case ("staff", text, "classes"):
            rows = year.sections_of_staff.get(_staff_member(asked, text)["ID"], [])
            found = Listing(area="Master Schedule Data", collection="classes", shape=fields.SECTION, rows=rows)
        case ("schools", code, "teachers"):
            rows = year.grouped["teachers"].of(number(code, name="SchoolCode"))
            found = Listing(area="Teacher Data", collection=f"teachers/{code}", shape=fields.TEACHER, rows=rows)
        case ("schools", code, "teachers", text):
            wanted = number(text, name="TeacherNumber")
            rows = year.grouped["teachers"].of(number(code, name="SchoolCode"))
            row = next((row for row in rows if row.get("TeacherNumber", 0) == wanted), None)
            found = Single(area="Teacher Data", shape=fields.TEACHER, row=there(row, area="Teacher Data"))
    return found


def _assignments(asked: Asked, *, text: str, rest: list[str]) -> Found:
    rows = asked.year.grouped["assignments"].of(_staff_member(asked, text)["ID"])
    if rest:
        rows = [row for row in rows if row.get("AssignmentType", "").lower() == rest[0]]
    if rest[1:]:
        sequence = number(rest[1], name="SequenceNumber")
        one = next((row for row in rows if row.get("SequenceNumber", 0) == sequence), None)
        return Single(area="Staff Data", shape=fields.ASSIGNMENT, row=there(one, area="Staff Data"))
    return Listing(area="Staff Data", collection=f"assignments/{text}", shape=fields.ASSIGNMENT, rows=rows)


def _filtered_staff(asked: Asked) -> list[Row]:
    """All staff, or those that fit the properties in the query (A12)."""
    year = asked.year
    rows = [year.staff[staff_id] for staff_id in year.staff_ids]
    if asked.switches.exclude_expired_accounts:  # A30
        rows = [row for row in rows if not row.get("Account", {}).get("Expired", False)]
    for name, text in asked.query.items():
        prop = fields.STAFF.find(name)
        if prop is None or prop.kind is Kind.LIST:
            continue  # DatabaseYear, cert, or nothing that staff has
        rows = [row for row in rows if _fits(shown_staff(row).get(prop.name, fields.STAFF.empty[prop.name]), text)]
    return rows


def shown_staff(row: Row) -> Row:
    """A staff row with what comes from the user account in its place (A29)."""
    account = row.get("Account")
    if account is None:
        return row
    shown = {name: value for name, value in row.items() if name != "Account"}
    shown["UserName"] = account.get("UserName", "")
    if account.get("EmailAddress"):
        shown["EmailAddress"] = account["EmailAddress"]
    return shown


def _fits(value: object, text: str) -> bool:
    match value:
        case None:
            return text.lower() == "null"
        case bool() | int() | float():
            return str(value).lower() == text.strip().lower()
        case _:
            shown = str(value).lower()
            return shown == text.lower() or shown == f"{text}T00:00:00".lower()


def _staff_member(asked: Asked, text: str) -> Row:
    row = asked.year.staff.get(number(text, name="StaffID"))
    if row is None:
        raise Refused(404, "Invalid Staff ID", area="Staff Data")
    return row
