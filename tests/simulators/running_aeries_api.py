"""A simulated Aeries on a real socket, a small district to put into it, and independent clients for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from simulators.aeries_api.app import AeriesConfig, create_app
from simulators.aeries_api.certificates import Certificate
from simulators.aeries_api.switches import AeriesSwitches
from simulators.kit.serve import serving
from simulators.kit.staging import Stage
from tests.support.without_tls import TRUSTS_NOBODY

CERTIFICATE = "Abcdefgh01234567Abcdefgh01234567"
READER = "Reader00000000000000000000000000"
"""May read some areas, staff not among them, and not every field of students."""
REGISTRAR = "Registrar00000000000000000000000"
"""May read and write students, but not their birthdates."""
YEAR = {"DatabaseYear": "2026"}
FIRST_MOMENT = datetime(2026, 11, 22, 16, 0, 0, tzinfo=UTC)
READ = frozenset({"read"})
SCHOOL_TERMS = [
    {"TermCode": "F", "StartDate": "2026-08-17T00:00:00", "EndDate": "2026-12-18T00:00:00"},
    {"TermCode": "Y", "StartDate": "2026-08-17T00:00:00", "EndDate": "2027-06-04T00:00:00"},
]


@dataclass
class ManualClock:
    """A clock that tests set."""

    now: datetime = FIRST_MOMENT

    def read(self) -> datetime:
        return self.now


@dataclass
class RunningAeries:
    """One running simulator and what a test needs to talk to it."""

    url: str
    clock: ManualClock
    client: httpx.Client
    """With the certificate that may do everything, the year and the header that names JSON."""
    control: httpx.Client
    bare: httpx.Client
    """Without any of it."""
    first_seq: int = 0
    """What the journal holds up to here was done for another test."""

    def start_anew(self) -> None:
        """Back to the small district, the first moment and no switches and faults: cheaper than another server."""
        self.clock.now = FIRST_MOMENT
        for path in ("/switches", "/faults"):
            self.control.delete(path)
        assert self.control.put("/state", json=small_district()).status_code == 204
        self.first_seq = self.control.get("/health").json()["last_seq"]

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a successful read."""
        answer = self.client.get(path, params=YEAR | query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def switch(self, **changes: Any) -> None:
        answer = self.control.patch("/switches", json=changes)
        assert answer.status_code == 200, answer.text

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.control.get("/state").json()
        return state

    def violations(self) -> list[str]:
        """The rules that were broken, in order."""
        return [entry["rule"] for entry in self.state()["violations"]]

    def effects(self) -> dict[str, list[str]]:
        answer = self.control.get("/effects", params={"after_seq": self.first_seq})
        effects: dict[str, list[str]] = answer.json()["effects"]
        return effects

    def put(self, path: str, **body: Any) -> httpx.Response:
        return self.client.put(path, params=YEAR, json=body)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(path, params=YEAR, json=body)


def student(student_id: int, *, school: int = 501, number: int | None = None, **more: Any) -> dict[str, Any]:
    """One school record."""
    return {
        "StudentID": student_id,
        "SchoolCode": school,
        "StudentNumber": student_id % 1000 if number is None else number,
        "LastName": f"Sample{student_id:06d}",
        "FirstName": "Ada",
        "Grade": 9,
    } | more


def small_district() -> dict[str, Any]:
    """A district with two years, three schools that are some and two that are none."""
    schools = [
        {"SchoolCode": 0, "Name": "District"},
        {"SchoolCode": 501, "Name": "North High", "Terms": SCHOOL_TERMS, "LowGradeLevel": 9, "HighGradeLevel": 12},
        {"SchoolCode": 502, "Name": "South High", "Terms": SCHOOL_TERMS},
        {"SchoolCode": 503, "Name": "Tiny School"},
        {"SchoolCode": 999, "Name": "ZZZ Inactive Students"},
    ]
    students = [student(number) for number in range(1, 11)]
    students[0] |= {"Birthdate": "2011-03-04T00:00:00", "HomeRoomTeacherNumber": "0726", "RecordAddedSystem": "SIS"}
    students += [
        student(3, school=502, number=77, InactiveStatusCode="I", SchoolLeaveDate="2026-09-30"),
        student(20, school=503, NextSchoolCode=502, NextGrade=10),
        student(30, school=999),
    ]
    staff = [
        {"ID": 901, "FirstName": "Bo", "LastName": "One", "HumanResourcesSystemID": "E0901", "EmailAddress": "s@x.test",
         "LeaveDate": "2026-06-05T00:00:00", "PrimaryAeriesSchool": 501},
        {"ID": 902, "FirstName": "Cy", "LastName": "Two", "HumanResourcesSystemID": "000902",
         "EmailAddress": "t@x.test", "PrimaryAeriesSchool": 501,
         "Account": {"UserName": "cy", "EmailAddress": "cy@x.test"}},
        {"ID": 903, "FirstName": "Di", "LastName": "Three", "Account": {"UserName": "di", "Expired": True}},
    ]  # fmt: skip
    return {
        "years": {
            "2026": {
                "schools": schools,
                "students": students,
                "staff": staff,
                "teachers": [{"SchoolCode": 501, "TeacherNumber": 7, "StaffID1": 902}],
                "assignments": [
                    {"ID": 902, "AssignmentType": "certificated", "SequenceNumber": 1, "StartDate": "2026-08-01"},
                ],
                "courses": [{"ID": "0726", "Title": "Algebra"}, {"ID": "0900", "Title": "Art"}],
                "sections": [
                    {"SchoolCode": 501, "SectionNumber": 43, "CourseID": "0726", "Semester": "F", "Room": "012",
                     "SectionStaffMembers": [{"StaffID": 902, "IsPrimaryTeacher": True}]},
                ],
                "rosters": [
                    {"StudentID": 1, "SchoolCode": 501, "SectionNumber": 43, "SequenceNumber": 1},
                    {"StudentID": 2, "SchoolCode": 501, "SectionNumber": 43, "SequenceNumber": 2,
                     "DateEnded": "2026-10-01"},
                ],
                "enrollment": [
                    {"AcademicYear": 2025, "StudentID": 1, "SchoolCode": 502, "StudentNumber": 5, "Grade": 8},
                    {"AcademicYear": 2026, "StudentID": 1, "SchoolCode": 501, "StudentNumber": 1, "Grade": 9},
                    {"AcademicYear": 2026, "StudentID": 2, "SchoolCode": 501, "StudentNumber": 2, "Grade": 9},
                ],
                "contacts": [{"StudentID": 1, "SequenceNumber": 1, "FirstName": "Eve", "LastName": "Sample"}],
                "programs": [{"StudentID": 1, "ProgramCode": "144"}, {"StudentID": 1, "ProgramCode": "101"}],
                "codes": [{"Table": "STU", "Field": "TG", "Code": "I", "Description": "Inactive"}],
                "absenceCodes": [{"SchoolCode": 501, "AbsenceCode": "A", "Title": "Absent"}],
                "bellSchedule": [{"SchoolCode": 501, "Period": 1, "StartTime": "2000-01-01T08:00:00"}],
                "calendar": [{"SchoolCode": 501, "CalendarDayNumber": 1, "CalendarDate": "2026-08-17"}],
            },
            "2025": {"schools": schools, "students": [student(1, Grade=8), student(99, Grade=12)]},
        }
    }  # fmt: skip


@contextmanager
def running_aeries(seed: Any = None, *, virtual_directory: str = "aeries", **switches: Any) -> Iterator[RunningAeries]:
    """Serve a simulator of a district; the small one when none is given."""
    clock = ManualClock()
    areas = ("School Data", "Student Data", "Enrollment History", "Course Data")
    config = AeriesConfig(
        certificates=(
            Certificate(value=CERTIFICATE),
            Certificate(
                value=READER,
                permissions=dict.fromkeys(areas, READ),
                denied_fields=frozenset({"Student.Birthdate", "Student.Grade", "Student.HomeRoomTeacherNumber"}),
            ),
            Certificate(
                value=REGISTRAR,
                permissions={"Student Data": frozenset({"read", "insert", "update"})},
                denied_fields=frozenset({"Student.Birthdate"}),
            ),
        ),
        seed=small_district() if seed is None else seed,
        virtual_directory=virtual_directory,
        switches=AeriesSwitches.model_validate(switches),
        stage=Stage(clock=clock.read),
    )
    with ExitStack() as stack:
        url = stack.enter_context(serving(create_app(config)))

        def client(base: str, headers: dict[str, str]) -> httpx.Client:
            return stack.enter_context(
                httpx.Client(base_url=base, headers=headers, timeout=10.0, trust_env=False, verify=TRUSTS_NOBODY)
            )

        api = "/".join(part for part in (url, virtual_directory, "api/v5") if part)
        yield RunningAeries(
            url=url,
            clock=clock,
            client=client(api, {"AERIES-CERT": CERTIFICATE, "Accept": "application/json"}),
            control=client(f"{url}/_sim", {}),
            bare=client(api, {}),
        )
