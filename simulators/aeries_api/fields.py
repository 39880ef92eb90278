"""What each Aeries record holds: properties, kinds, lengths and what an empty one is; checks seeds and bodies alike.

Pure. A row is kept sparse, only with what was given; `Shape.whole` adds the empty values when it is shown. Text loses
the three characters that Aeries filters when it is taken in, whoever sends it (README rule A25).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

Row = dict[str, Any]

INT_MAX = 2**31 - 1
TEXT_LENGTH_MAX = 8_000
"""Most characters of a text whose own limit is not documented."""
DATES_REMEMBERED_MAX = 65_536
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2})?")
_FILTERED_FORM = re.compile('["<>]')


class Kind(StrEnum):
    """The kinds of values; the value is how a kind is written in the tables below."""

    INT = "int"
    TEXT = "text"
    DATE = "date"
    """Naive local time, or null."""
    FLAG = "flag"
    DECIMAL = "decimal"
    LIST = "list"


_EMPTY: dict[Kind, Any] = {
    Kind.INT: 0,
    Kind.TEXT: "",
    Kind.DATE: None,
    Kind.FLAG: False,
    Kind.DECIMAL: 0.0,
    Kind.LIST: [],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property of a record."""

    name: str
    kind: Kind
    length_max: int | None = None
    """Most characters of a text; None where no limit is documented."""


class Shape:
    """The properties of one kind of record, in the order they are shown."""

    def __init__(self, name: str, table: str, *, empty: Mapping[str, Any] | None = None) -> None:
        """`table` lists `Name:kind` or `Name:text:length`, apart by blanks; `empty` overrides what an empty one is."""
        self.name = name
        self.properties: dict[str, Property] = {}
        for item in table.split():
            prop, kind, *length = item.split(":")
            self.properties[prop] = Property(name=prop, kind=Kind(kind), length_max=int(length[0]) if length else None)
        self.empty: Row = {prop.name: _EMPTY[prop.kind] for prop in self.properties.values()} | dict(empty or {})
        self.dates = tuple(prop.name for prop in self.properties.values() if prop.kind is Kind.DATE)
        self._ints = {prop.name for prop in self.properties.values() if prop.kind is Kind.INT}
        self._texts = {
            prop.name: prop.length_max or TEXT_LENGTH_MAX for prop in self.properties.values() if prop.kind is Kind.TEXT
        }
        self._by_lower = {name.lower(): prop for name, prop in self.properties.items()}

    def find(self, name: str) -> Property | None:
        """Find a property by its name in any case, as the vendor's framework binds them."""
        return self._by_lower.get(name.lower())

    def whole(self, row: Row) -> Row:
        """Return the row with every property."""
        return self.empty | row

    def checked(self, row: Any, *, place: str) -> Row:
        """Return a seeded row as it is kept; `ValueError` names place, value and rule."""
        if not isinstance(row, dict):
            raise ValueError(f"{place}: {str(row)[:60]!r} is no object (a {self.name} record is one)")
        kept: Row = dict(row)
        ints, texts = self._ints, self._texts
        for name, value in row.items():
            # Most values of a large seed are plain numbers and plain text; they are waved through here.
            if type(value) is int:
                if name in ints and -INT_MAX <= value <= INT_MAX:
                    continue
            elif type(value) is str and len(value) <= texts.get(name, -1) and not _FILTERED_FORM.search(value):
                continue
            prop = self.properties.get(name)
            if prop is None:
                raise ValueError(f"{place}.{name}: is no property of {self.name}")
            try:
                kept[name] = taken_in(prop, value)
            except ValueError as error:
                raise ValueError(f"{place}.{name}: {error}") from error
        return kept


def taken_in(prop: Property, value: Any) -> Any:
    """Return a value as it is kept; `ValueError` says what is wrong with it."""
    match prop.kind, value:
        case Kind.TEXT, str():
            text = _FILTERED_FORM.sub("", value)
            length_max = prop.length_max or TEXT_LENGTH_MAX
            if len(text) > length_max:
                raise ValueError(f"has {len(text)} characters, at most {length_max} are allowed")
            return text
        case (Kind.FLAG, bool()) | (Kind.DATE, None) | (Kind.LIST, list()):
            return value
        case Kind.INT, int() if not isinstance(value, bool) and abs(value) <= INT_MAX:
            return value
        case Kind.DECIMAL, int() | float() if not isinstance(value, bool):
            return value
        case Kind.DATE, str():
            return _as_date(value)
    raise ValueError(f"{str(value)[:40]!r} is not of kind {prop.kind}")


@lru_cache(maxsize=DATES_REMEMBERED_MAX)
def _as_date(text: str) -> str:
    if _DATE.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not of kind date")
    if len(text) == len("2018-09-05"):
        text += "T00:00:00"
    datetime.fromisoformat(text)  # says by itself which part is out of range
    return text


_STUDENT = """StudentID:int OldStudentID:int CorrespondenceLanguageCode:text CounselorNumber:int
 StudentPersonalEmailAddress:text:255 SchoolCode:int StudentNumber:int StateStudentID:text:10 LastName:text:50
 FirstName:text:50 MiddleName:text:50 LastNameAlias:text FirstNameAlias:text MiddleNameAlias:text Gender:text:1
 Grade:int GradeLevelShortDescription:text GradeLevelLongDescription:text Birthdate:date ParentGuardianName:text
 HomePhone:text StudentMobilePhone:text MailingAddress:text MailingAddressCity:text MailingAddressState:text
 MailingAddressZipCode:text MailingAddressZipExt:text ResidenceAddress:text ResidenceAddressCity:text
 ResidenceAddressState:text ResidenceAddressZipCode:text ResidenceAddressZipExt:text AddressVerified:flag
 EthnicityCode:text RaceCode1:text RaceCode2:text RaceCode3:text RaceCode4:text RaceCode5:text
 UserCode1:text UserCode2:text UserCode3:text UserCode4:text UserCode5:text UserCode6:text UserCode7:text UserCode8:text
 UserCode9:text UserCode10:text UserCode11:text UserCode12:text UserCode13:text
 SchoolEnterDate:date SchoolLeaveDate:date DistrictEnterDate:date Track:text AttendanceProgramCodePrimary:text
 AttendanceProgramCodeAdditional1:text AttendanceProgramCodeAdditional2:text LockerNumber:text
 LowSchedulingPeriod:int HighSchedulingPeriod:int InactiveStatusCode:text FamilyKey:int LanguageFluencyCode:text
 HomeLanguageCode:text ParentEdLevelCode:text ParentEmailAddress:text StudentEmailAddress:text:255
 NetworkLoginID:text:255 EarlyWarningPoints:decimal HomeRoomTeacherNumber:text NotificationPreferenceCode:text
 NextSchoolCode:int NextGrade:int NextGradeLevelShortDescription:text NextGradeLevelLongDescription:text
 RecordsReleaseCode:text"""
_EXTENDED = """RecordAddedDateTime:date RecordAddedSystem:text InterIntraDistrictTransferCode:text
 InterIntraDistrictStateCode:text ReportingSchoolCode:int SchoolCompletionDate:date SchoolCompletionStatusCode:text
 SchedulingGroup:text"""
_NO_HOMEROOM = {"HomeRoomTeacherNumber": "0"}

STUDENT = Shape("Student", _STUDENT, empty=_NO_HOMEROOM)
STUDENT_EXTENDED = Shape("Student", f"{_STUDENT} {_EXTENDED}", empty=_NO_HOMEROOM)
CONTACT = Shape(
    "Contact",
    """StudentID:int SequenceNumber:int LastName:text FirstName:text MailingName:text RelationshipToStudentCode:text
 HomePhone:text WorkPhone:text CellPhone:text EmailAddress:text Address:text AddressCity:text AddressState:text
 AddressZipCode:text AddressZipExt:text CustodyFlag:text LivesWithStudentFlag:flag""",
)
PROGRAM = Shape(
    "Program",
    "StudentID:int ProgramCode:text ProgramDescription:text ParticipationStartDate:date EligibilityEndDate:date",
)
ENROLLMENT = Shape(
    "Enrollment",
    """AcademicYear:int StudentID:int SchoolCode:int StudentNumber:int Grade:int Track:text EnterDate:date
 LeaveDate:date ExitReasonCode:text AttendanceProgramCode:text AttendanceProgramCodeAdditional1:text
 AttendanceProgramCodeAdditional2:text ElementaryTeacherName:text ElementaryTeacherNumber:text
 InterIntraDistrictTransferCode:text InterIntraDistrictStateCode:text""",
)
STAFF = Shape(
    "Staff",
    """SchoolAccessPermissions:list ExtendedProperties:list EarlyChildhoodCertificationCode:text Gender:text:1
 EducationLevelCode:text:2 EthnicityCode:text:1 RaceCode1:text:3 RaceCode2:text:3 RaceCode3:text:3 RaceCode4:text:3
 RaceCode5:text:3 PositionStatusCode:text TotalYearsOfEduService:int TotalYearsInThisDistrict:int PreviousLastName:text
 PreviousFirstName:text PreviousMiddleName:text NameSuffix:text Address:text:55 AddressCity:text:30
 AddressState:text:2 AddressZipCode:text:5 AddressZipExt:text:4 HomePhone:text:10 EmergencyContactName:text
 EmergencyContactPhone:text:10 ID:int FirstName:text:20 LastName:text:50 MiddleName:text:20 BirthYear:int
 BirthDate:date FullTimePercentage:int HireDate:date LeaveDate:date InactiveStatusCode:text:1 StateEducatorID:text:10
 UserName:text EmailAddress:text:255 PrimaryAeriesSchool:int NetworkLoginID:text:255 AlternateEmailAddress:text:255
 HumanResourcesSystemID:text:255 CellPhone:text:10 NotificationPreferenceCode:text Title:text:100""",
)
ACCOUNT = Shape("Account", "UserName:text EmailAddress:text:255 Expired:flag")
"""The user account (UGN) of a staff member; a seed gives it beside the staff properties, under `Account`."""
ASSIGNMENT = Shape(
    "StaffAssignment",
    """MonthlyMinutes:int PopulationServedCode:text ServiceIDCode:text AssignmentType:text ID:int SequenceNumber:int
 JobClassificationCode:text:3 FullTimePercentage:int NonClassroomBasedJobAssignmentCode1:text:4
 NonClassroomBasedJobAssignmentCode2:text:4 NonClassroomBasedJobAssignmentCode3:text:4
 NonClassroomBasedJobAssignmentCode4:text:4 NonClassroomBasedJobAssignmentCode5:text:4
 NonClassroomBasedJobAssignmentCode6:text:4 NonClassroomBasedJobAssignmentCode7:text:4
 SchoolCode:int StartDate:date EndDate:date""",
)
TEACHER = Shape(
    "Teacher",
    """SchoolCode:int TeacherNumber:int DisplayName:text FirstName:text LastName:text EmailAddress:text StaffID1:int
 StaffID2:int InactiveStatusCode:text LowGrade:int HighGrade:int Room:text""",
)
SCHOOL = Shape(
    "School",
    """RegionCode:text StateCharterNumber:text CharterStatusCode:text FederalTaxID:text
 FederalInformationProcessingStandardsCode:text QualityRatingAndImprovementSystemParticipationCode:text
 AccreditationStatusCode:text SchoolWebsite:text OrganizationCategoryCode:text SchoolCategoryCode:text
 LocalEducationAgencyTypeCode:text TitleIPartACode:text NSLPStatusCode:text NCESSchoolID:text
 CollegeBoardSchoolCode:text CampusEnrollmentTypeCode:text PreKSchoolTypeCode:text
 EarlyCollegeHighSchoolIndicator:flag ScienceTechnologyEngineeringAndMathematicsIndicator:flag
 PathwaysInTechnologyIndicator:flag ShortName:text UsingSectionStaffInMasterSchedule:flag
 UsingSectionStaffInScheduling:flag Terms:list SchoolCode:int Name:text InactiveStatusCode:text Address:text
 AddressCity:text AddressState:text AddressZipCode:text AddressZipExt:text DoNotReport:flag StateCountyID:text
 StateDistrictID:text StateSchoolID:text LowGradeLevel:int HighGradeLevel:int PrincipalName:text
 PrincipalEmailAddress:text AttendancePeriod:int Tracks:int ScheduleType:text SessionType:text AttendanceType:text
 AttendanceReporting:text ScheduleBasis:text PhoneNumber:text""",
)
TERM = Shape(
    "Term",
    """FirstHalfEndDate:date SecondHalfStartDate:date TrackTerms:list TermCode:text TermDescription:text StartDate:date
 EndDate:date""",
)
COURSE = Shape(
    "Course",
    """ID:text:6 Title:text:15 LongDescription:text:30 ContentDescription:text CreditDefault:decimal CreditMax:decimal
 DepartmentCode:text LowGrade:int HighGrade:int InactiveStatusCode:text StateCourseCode:text TermTypeCode:text
 SubjectArea1:text SubjectArea2:text SubjectArea3:text CollegePrepIndicatorCode:text UserCode1:text UserCode2:text
 UserCode3:text UserCode4:text UserCode5:text UserCode6:text UserCode7:text UserCode8:text""",
)
SECTION = Shape(
    "Section",
    """SchoolCode:int SectionNumber:int Period:int PeriodBlock:text Semester:text ClassCalendar:text CourseID:text:6
 Room:text Credit:decimal LowGrade:int HighGrade:int MaxStudents:int TotalStudents:int InactiveStatusCode:text
 ClassID:int Track:text UserCode1:text UserCode2:text UserCode3:text UserCode4:text UserCode5:text UserCode6:text
 UserCode7:text UserCode8:text SectionStaffMembers:list""",
)
SECTION_STAFF = Shape(
    "SectionStaffMember",
    """StaffID:int LastName:text FirstName:text IsPrimaryTeacher:flag StaffRoleCode:text TeacherPositionCode:text
 AttendancePermission:text GradebookPermissionCode:text GradeReportingAccess:text StudentAccess:text
 IncludeInStateReporting:flag StartDate:date EndDate:date InactiveStatusCode:text""",
)
ROSTER = Shape(
    "Roster",
    "StudentID:int SchoolCode:int SequenceNumber:int SectionNumber:int CourseID:text DateStarted:date DateEnded:date",
)
CODE = Shape(
    "Code",
    """Table:text Field:text Code:text Description:text Status:text Category:text SortOrder:int NumericValue:decimal
 AeriesCode:text""",
)
ABSENCE_CODE = Shape(
    "AbsenceCode",
    """IsTemporarilyNotEnrolled:flag IndependentStudyCode:text ColorCode:text SchoolCode:int AbsenceCode:text
 Title:text Abbreviation:text TypeCode:int TypeDescription:text CountsForADA:flag IncludeOnLetters:flag
 IncludeInParentNotifications:flag IncludeOnReports:flag CountOnReportCard:flag IsSuspension:flag
 IsPartialDayTruant:flag""",
)
BELL = Shape("BellSchedule", "SchoolCode:int Period:int StartTime:date EndTime:date CalendarDate:date")
CALENDAR = Shape(
    "CalendarDay",
    """TrackHolidays:list SchoolCode:int CalendarDayNumber:int CalendarDate:date HolidayCode:text AttendanceMonth:int
 TotalApportionment:int TotalEnrollment:int PeriodBlockPattern:text ABDay:text AttendanceMonthLocked:flag""",
)
ACCESS = Shape("SchoolAccessPermission", "SchoolCode:int ReadOnlyAccess:flag CommunicationGroup:flag")
