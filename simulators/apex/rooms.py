"""Classrooms of a simulated Apex, who is enrolled in them, and the seats (orders) that enrolments use up.

Pure state: takes items that rules.py has passed. An enrolment is never removed; leaving a classroom makes it Withdrawn.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from simulators.apex.people import ACTIVE, Done, People
from simulators.apex.rules import CLASSROOM_FIELDS, TEXT_LENGTH_MAX, kept_moment, shown_date, written_date

WITHDRAWN = "Withdrawn"
STATUSES = frozenset({ACTIVE, "Complete", WITHDRAWN})
CLASSROOMS_MAX = 1_000_000
ENROLLMENTS_MAX = 5_000_000
COPIES_NAME = " - copy"

Record = dict[str, Any]


class Rooms:
    """Classrooms by key, enrolments by classroom and student, and the seats left."""

    def __init__(
        self,
        *,
        organizations: Collection[str],
        programs: Mapping[str, str],
        seats: Mapping[tuple[str, str], int],
        students: People,
        staff: People,
    ) -> None:
        self._organizations = organizations
        self._programs = programs
        """The program of each product."""
        self._seats = seats
        """By organisation and program; without an entry there is no limit."""
        self._students = students
        self._staff = staff
        self._rooms: dict[str, Record] = {}
        self._ids: list[str] = []
        self._enrollments: dict[tuple[str, str], Record] = {}
        self._of_student: dict[str, list[tuple[str, str]]] = {}
        self._of_room: dict[str, list[tuple[str, str]]] = {}
        self._used: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, room_id: str) -> Record | None:
        """Find a classroom by the caller's key."""
        return self._rooms.get(room_id)

    def page(self, window: slice) -> list[Record]:
        """Show the classrooms at these positions."""
        return [self.shown(self._rooms[room_id]) for room_id in self._ids[window]]

    def shown(self, room: Record) -> Record:
        """Show a classroom as it is read: the teacher as a name, dates as RFC 1123 text (A23)."""
        teacher = self._staff.get(room["ImportUserId"])
        name = f"{teacher['FirstName']} {teacher['LastName']}" if teacher is not None else None
        shown = {field: value for field, value in room.items() if field not in {"ImportUserId", "StaffIds"}}
        return shown | {"PrimaryTeacher": name, "ClassroomStartDate": shown_date(room["ClassroomStartDate"])}

    def put(self, item: Mapping[str, Any], *, now: datetime, pretend: bool) -> Done:
        """Create a classroom (A22)."""
        room_id = item["ImportClassroomId"]
        if room_id in self._rooms:
            return Done(message="Classroom already exist", is_refused=True)
        if (wrong := self._wrong_with(item)) is not None:
            return Done(message=wrong, is_refused=True)
        start = _start(item.get("ClassroomStartDate")) or kept_moment(now)
        room = {"ImportClassroomId": room_id} | {name: item.get(name) for name in CLASSROOM_FIELDS}
        room |= {"ClassroomStartDate": start, "ClassroomStatus": ACTIVE, "StaffIds": [item["ImportUserId"]]}
        if not pretend:
            self._add_room(room)
        return Done(effect=f"created {room_id}", external_id=room_id)

    def change(self, room_id: str, body: Mapping[str, Any], *, pretend: bool) -> Done:
        """Set the fields a body holds; a teacher who is not primary joins the staff only (A24)."""
        before = self._rooms[room_id]
        fields = {name: body[name] for name in CLASSROOM_FIELDS if name in body}
        if (wrong := self._wrong_with(before | fields)) is not None:
            return Done(message=wrong, is_refused=True)
        if "ClassroomStartDate" in fields:
            fields["ClassroomStartDate"] = _start(fields["ClassroomStartDate"])
        after = before | fields
        if (teacher := fields.get("ImportUserId")) is not None:
            after["StaffIds"] = [*(each for each in before["StaffIds"] if each != teacher), teacher]
            if str(body.get("IsPrimary", True)).lower() == "false":
                after["ImportUserId"] = before["ImportUserId"]
        changed = [name for name in CLASSROOM_FIELDS if after[name] != before[name]]
        if set(after["StaffIds"]) != set(before["StaffIds"]):
            changed.append("Staff")
        if changed and not pretend:
            self._rooms[room_id] = after
        effect = f"updated {room_id} [{', '.join(changed)}]" if changed else f"unchanged {room_id}"
        return Done(effect=effect, external_id=room_id)

    def copy(self, room_id: str, body: Mapping[str, Any], *, now: datetime, pretend: bool) -> Done:
        """Make a classroom like another, under a new key and without its students (A28)."""
        like = self._rooms[room_id]
        item = {name: like[name] for name in CLASSROOM_FIELDS if name != "ClassroomStartDate"}
        item |= {"ClassroomName": f"{like['ClassroomName']}{COPIES_NAME}"[:TEXT_LENGTH_MAX]} | dict(body)
        return self.put(item, now=now, pretend=pretend)

    def enroll(self, room_id: str, user_id: str, org_id: str, *, no_orders: bool, now: datetime, pretend: bool) -> Done:
        """Enrol one student; a seat is used while the enrolment is Active (A25)."""
        key = (room_id, user_id)
        if not self._students.is_active_in(user_id, org_id):
            return Done(message="User doesn't exist", is_refused=True)
        known = self._enrollments.get(key)
        if known is not None and known["EnrollmentStatus"] == ACTIVE:
            return Done(message="User already exist", is_refused=True)
        if no_orders or self._is_full(org_id, room_id):
            return Done(message="No available Order", is_refused=True)
        if not pretend:
            self._set(key, org_id=org_id, status=ACTIVE, begun=kept_moment(now), completed=None)
        return Done(effect=f"created {room_id}/{user_id}", external_id=f"{room_id}/{user_id}")

    def withdraw(self, room_id: str, user_id: str, *, pretend: bool) -> Done:
        """End one enrolment (A26)."""
        known = self._enrollments.get((room_id, user_id))
        link = f"{room_id}/{user_id}"
        if known is None:
            return Done(message="User doesn't exist", is_refused=True)
        if known["EnrollmentStatus"] != ACTIVE:
            return Done(effect=f"unchanged {link}", external_id=link)
        if not pretend:
            self._change_status(known, WITHDRAWN)
        return Done(effect=f"deleted {link}", external_id=link)

    def transfer(
        self, user_id: str, *, old_id: str, new_id: str, org_id: str, no_orders: bool, now: datetime, pretend: bool
    ) -> Done:
        """Move an Active enrolment to another classroom, in one step or not at all (A27)."""
        known = self._enrollments.get((old_id, user_id))
        if known is None or known["EnrollmentStatus"] != ACTIVE:
            return Done(message="User doesn't exist", is_refused=True)
        # The seat is free before the new one is taken, so a move within one program needs no second seat.
        self._change_status(known, WITHDRAWN)
        done = self.enroll(new_id, user_id, org_id, no_orders=no_orders, now=now, pretend=pretend)
        if done.is_refused or pretend:
            self._change_status(known, ACTIVE)
        if done.is_refused:
            return done
        link = f"{old_id}/{user_id}"
        return Done(effect=f"updated {link} [ImportClassroomId]", external_id=link)

    def add_staff(self, room_id: str, user_id: str, org_id: str, *, is_primary: bool, pretend: bool) -> Done:
        """Let one member of staff into a classroom, as its primary teacher if said so (A25)."""
        room = self._rooms[room_id]
        link = f"{room_id}/{user_id}"
        if not self._staff.is_active_in(user_id, org_id):
            return Done(message="User doesn't exist", is_refused=True)
        if user_id in room["StaffIds"] and (not is_primary or room["ImportUserId"] == user_id):
            return Done(message="User already exist", is_refused=True)
        if not pretend:
            others = [each for each in room["StaffIds"] if each != user_id]
            primary = user_id if is_primary else room["ImportUserId"]
            self._rooms[room_id] = room | {"StaffIds": [*others, user_id], "ImportUserId": primary}
        return Done(effect=f"created {link}", external_id=link)

    def of_student(self, user_id: str, *, only_active: bool) -> list[Record]:
        """List a student's enrolments in the order they were made (A26)."""
        found = (self._enrollments[key] for key in self._of_student.get(user_id, ()))
        return [self._enrollment_shown(each) for each in found if not only_active or each["EnrollmentStatus"] == ACTIVE]

    def reports(self, room_id: str, user_id: str | None) -> list[Record]:
        """List what has been reported of a classroom's students, or of one (A29)."""
        found = (self._enrollments[key] for key in self._of_room.get(room_id, ()))
        return [
            {"ImportUserId": each["ImportUserId"], "ImportClassroomId": room_id, **each["Report"]}
            for each in found
            if each["Report"] is not None and user_id in {None, each["ImportUserId"]}
        ]

    def load(self, classrooms: Any, enrollments: Any) -> None:
        """Take over classrooms and enrolments of a seed; `ValueError` names place, value and rule."""
        if not isinstance(classrooms, list) or len(classrooms) > CLASSROOMS_MAX:
            raise ValueError(f"classrooms: a list of at most {CLASSROOMS_MAX}")
        for position, item in enumerate(classrooms):
            match item:
                case {"ImportClassroomId": str(room_id), "ClassroomName": str(), "ProductCodes": [*_]} if (
                    room_id not in self._rooms
                ):
                    wrong = self._wrong_with(item)
                case _:
                    wrong = "needs an ImportClassroomId of its own, a ClassroomName and ProductCodes"
            if wrong is not None:
                raise ValueError(f"classrooms[{position}]: {wrong} (A22)")
            room = {"ImportClassroomId": item["ImportClassroomId"]} | {name: item[name] for name in CLASSROOM_FIELDS}
            room["ClassroomStartDate"] = datetime.fromisoformat(item["ClassroomStartDate"]).isoformat()
            room["ClassroomStatus"] = item.get("ClassroomStatus", ACTIVE)
            room["StaffIds"] = list(item.get("StaffIds", [item["ImportUserId"]]))
            self._add_room(room)
        if not isinstance(enrollments, list) or len(enrollments) > ENROLLMENTS_MAX:
            raise ValueError(f"enrollments: a list of at most {ENROLLMENTS_MAX}")
        for position, item in enumerate(enrollments):
            self._load_enrollment(item, place=f"enrollments[{position}]")

    def documents(self) -> tuple[list[Record], list[Record]]:
        """List classrooms and enrolments as a seed does."""
        return list(self._rooms.values()), list(self._enrollments.values())

    def _load_enrollment(self, item: Any, *, place: str) -> None:
        match item:
            case {"ImportClassroomId": str(room_id), "ImportUserId": str(user_id), "EnrollmentStatus": str(status)}:
                if room_id not in self._rooms or self._students.get(user_id) is None:
                    raise ValueError(f"{place}: classroom {room_id!r} or its student is unknown")
                if status not in STATUSES or (room_id, user_id) in self._enrollments:
                    raise ValueError(f"{place}: is there twice, or {status!r} is not one of {sorted(STATUSES)}")
            case _:
                raise ValueError(f"{place}: needs ImportClassroomId, ImportUserId and EnrollmentStatus")
        self._set(
            (room_id, user_id),
            org_id=item.get("ImportOrgId", self._rooms[room_id]["ImportOrgId"]),
            status=status,
            begun=item["EnrolledAt"],
            completed=item.get("CompletedDate"),
        )
        self._enrollments[room_id, user_id]["Report"] = item.get("Report")

    def _wrong_with(self, item: Mapping[str, Any]) -> str | None:
        """Say what does not hold of a classroom's references, in the words of a per-item message."""
        if item.get("ImportOrgId") not in self._organizations:
            return "Organization doesn't exist"
        if any(self._programs.get(code) != item.get("ProgramCode") for code in item["ProductCodes"]):
            return "Product doesn't exist"
        if self._staff.get(item.get("ImportUserId", "")) is None:
            return "User doesn't exist"
        return None

    def _add_room(self, room: Record) -> None:
        self._rooms[room["ImportClassroomId"]] = room
        self._ids.append(room["ImportClassroomId"])

    def _seat(self, enrollment: Mapping[str, Any]) -> tuple[str, str]:
        return enrollment["ImportOrgId"], self._rooms[enrollment["ImportClassroomId"]]["ProgramCode"]

    def _is_full(self, org_id: str, room_id: str) -> bool:
        seat = (org_id, self._rooms[room_id]["ProgramCode"])
        return seat in self._seats and self._used[seat] >= self._seats[seat]

    def _set(self, key: tuple[str, str], *, org_id: str, status: str, begun: str, completed: str | None) -> None:
        room_id, user_id = key
        before = self._enrollments.get(key)
        if before is None:
            self._of_student.setdefault(user_id, []).append(key)
            self._of_room.setdefault(room_id, []).append(key)
        elif before["EnrollmentStatus"] == ACTIVE:
            raise AssertionError("an Active enrolment is not made anew")
        self._enrollments[key] = {
            "ImportClassroomId": room_id,
            "ImportUserId": user_id,
            "ImportOrgId": org_id,
            "EnrollmentStatus": status,
            "EnrolledAt": begun,
            "CompletedDate": completed,
            "Report": before["Report"] if before is not None else None,
        }
        self._used[self._seat(self._enrollments[key])] += status == ACTIVE

    def _change_status(self, known: Record, status: str) -> None:
        key = (known["ImportClassroomId"], known["ImportUserId"])
        self._used[self._seat(known)] += (status == ACTIVE) - (self._enrollments[key]["EnrollmentStatus"] == ACTIVE)
        self._enrollments[key] = known | {"EnrollmentStatus": status}

    def _enrollment_shown(self, enrollment: Record) -> Record:
        room = self._rooms[enrollment["ImportClassroomId"]]
        return {
            "ImportClassroomId": enrollment["ImportClassroomId"],
            "ClassroomName": room["ClassroomName"],
            "ImportOrgId": enrollment["ImportOrgId"],
            "EnrollmentStatus": enrollment["EnrollmentStatus"],
            "EnrollmentStartDate": shown_date(enrollment["EnrolledAt"]),
            "CompletedDate": shown_date(enrollment["CompletedDate"]),
        }


def _start(text: str | None) -> str | None:
    written = written_date(text) if text is not None else None
    return kept_moment(datetime(written.year, written.month, written.day, tzinfo=UTC)) if written else None
