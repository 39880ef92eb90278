"""The sample district's fixed lists: job classes, sites, and the roles and locations that the vendor knows.

It decides nothing by chance. A job class without a role and a site without a location are those that the mapping
tables of the connector (`connectors/titanhst-staff/tables`) leave out on purpose; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobClass:
    """One job class of the HR database."""

    code: str
    """As the mapping table spells it: upper case, leading zeros kept."""
    title: str
    unit: str
    """Bargaining unit: CUTA teachers, CSEA classified, CUMA management, NONE."""
    person_type: str
    """1 certificated, 2 classified, 4 contracted."""
    role: str | None
    """The vendor's role code, None when no mapping exists."""
    weight: int
    """How often it occurs among staff, relative to the others."""
    is_teaching: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """One work site of the HR database."""

    code: str
    """Three digits, zero padded."""
    name: str
    school_code: int | None
    """The Aeries school code, None for a department."""
    is_mapped: bool = True

    @property
    def location(self) -> str:
        """The vendor's location code."""
        return f"TL-{self.code}"


JOB_CLASSES: tuple[JobClass, ...] = (
    JobClass("0101", "Teacher, Elementary", "CUTA", "1", "TEACHER", 300, True),
    JobClass("0102", "Teacher, Middle Grades", "CUTA", "1", "TEACHER", 180, True),
    JobClass("0103", "Teacher, Secondary", "CUTA", "1", "TEACHER", 280, True),
    JobClass("0104", "Teacher, Transitional Kindergarten", "CUTA", "1", "TEACHER", 40, True),
    JobClass("0105", "Teacher, Special Education", "CUTA", "1", "TEACHER", 110, True),
    JobClass("0106", "Teacher, Physical Education", "CUTA", "1", "TEACHER", 50, True),
    JobClass("0107", "Teacher, Music", "CUTA", "1", "TEACHER", 25, True),
    JobClass("0108", "Teacher on Special Assignment", "CUTA", "1", "TEACHER", 20),
    JobClass("0151", "Substitute, Long-term", "NONE", "1", "SUBSTITUTE", 40, True),
    JobClass("0152", "Substitute, Resident", "NONE", "1", "SUBSTITUTE", 25, True),
    JobClass("0201", "Principal", "CUMA", "1", "ADMINISTRATOR", 24),
    JobClass("0202", "Assistant Principal", "CUMA", "1", "ADMINISTRATOR", 30),
    JobClass("0203", "Director", "CUMA", "1", "ADMINISTRATOR", 14),
    JobClass("0204", "Superintendent's Cabinet", "CUMA", "1", "ADMINISTRATOR", 5),
    JobClass("0301", "Counselor, Secondary", "CUTA", "1", "COUNSELOR", 40),
    JobClass("0302", "School Psychologist", "CUTA", "1", "COUNSELOR", 20),
    JobClass("0303", "Social Worker", "CUTA", "1", "COUNSELOR", 12),
    JobClass("0351", "School Nurse", "CUTA", "1", "NURSE", 14),
    JobClass("C352", "Health Clerk", "CSEA", "2", "NURSE", 26),
    JobClass("C401", "Campus Supervisor", "CSEA", "2", "SECURITY", 45),
    JobClass("C402", "Security Officer", "CSEA", "2", "SECURITY", 15),
    JobClass("C501", "Office Manager", "CSEA", "2", "OFFICE", 34),
    JobClass("C502", "Attendance Clerk", "CSEA", "2", "OFFICE", 40),
    JobClass("C503", "Registrar", "CSEA", "2", "OFFICE", 20),
    JobClass("C504", "Payroll Technician", "CSEA", "2", "OFFICE", 15),
    JobClass("C505", "Human Resources Analyst", "CSEA", "2", "OFFICE", 12),
    JobClass("C601", "Custodian", "CSEA", "2", "CUSTODIAL", 90),
    JobClass("C602", "Lead Custodian", "CSEA", "2", "CUSTODIAL", 30),
    JobClass("C603", "Groundskeeper", "CSEA", "2", "CUSTODIAL", 25),
    JobClass("C701", "Bus Driver", "CSEA", "2", "TRANSPORT", 70),
    JobClass("C702", "Bus Attendant", "CSEA", "2", "TRANSPORT", 25),
    JobClass("C703", "Vehicle Mechanic", "CSEA", "2", "TRANSPORT", 8),
    JobClass("C801", "Food Service Worker", "CSEA", "2", "FOOD", 90),
    JobClass("C802", "Cook", "CSEA", "2", "FOOD", 25),
    JobClass("C901", "Instructional Aide", "CSEA", "2", "AIDE", 180),
    JobClass("C902", "Special Education Aide", "CSEA", "2", "AIDE", 140),
    JobClass("C903", "Bilingual Aide", "CSEA", "2", "AIDE", 40),
    JobClass("C951", "Library Technician", "CSEA", "2", "OTHER", 25),
    JobClass("C952", "Network Technician", "CSEA", "2", "OTHER", 20),
    JobClass("X990", "Contracted Therapist", "NONE", "4", "OTHER", 20),
    # The next two are in HR and not in the mapping table.
    JobClass("X995", "Grant Coordinator, Temporary", "NONE", "4", None, 0),
    JobClass("C999", "Unclassified Position", "CSEA", "2", None, 0),
)

_SCHOOL_NAMES = (
    "Alder High", "Bristlecone High", "Cedar High", "Dogwood High", "Elm Continuation High",
    "Fern Middle", "Grove Middle", "Hawthorn Middle", "Ironwood Middle", "Juniper Middle",
    "Kalmia Elementary", "Larch Elementary", "Madrone Elementary", "Nutmeg Elementary", "Oak Elementary",
    "Pinyon Elementary", "Quince Elementary", "Redbud Elementary", "Sequoia Elementary", "Tamarack Elementary",
    "Umber Elementary", "Viburnum Elementary", "Willow Elementary", "Yucca K-8",
)  # fmt: skip
_DEPARTMENT_NAMES = (
    "District Office", "Business Services", "Human Resources", "Transportation", "Maintenance and Operations",
    "Food Services", "Technology", "Special Services", "Adult Education", "Warehouse",
)  # fmt: skip

# Schools are 010, 020 … 240 with the Aeries school code a tenth of it; departments 300, 310 … 390 have none.
SITES: tuple[Site, ...] = (
    *(Site(f"{10 * number:03d}", name, number) for number, name in enumerate(_SCHOOL_NAMES, start=1)),
    *(Site(f"{300 + 10 * number:03d}", name, None) for number, name in enumerate(_DEPARTMENT_NAMES)),
    # In HR and not in the mapping table: a school that opens next year.
    Site("250", "Zinnia K-8 (opening)", 25, is_mapped=False),
)

MAPPED_JOB_CLASSES = tuple(job for job in JOB_CLASSES if job.role is not None)
UNMAPPED_JOB_CLASSES = tuple(job for job in JOB_CLASSES if job.role is None)
MAPPED_SITES = tuple(site for site in SITES if site.is_mapped)
UNMAPPED_SITES = tuple(site for site in SITES if not site.is_mapped)

VENDOR_ROLES: dict[str, str] = {
    "TEACHER": "Teacher",
    "SUBSTITUTE": "Substitute",
    "ADMINISTRATOR": "Administrator",
    "COUNSELOR": "Counselor",
    "NURSE": "Nurse",
    "SECURITY": "Security",
    "OFFICE": "Office",
    "CUSTODIAL": "Custodial",
    "TRANSPORT": "Transport",
    "FOOD": "Food service",
    "AIDE": "Aide",
    "OTHER": "Other",
}
VENDOR_LOCATIONS: dict[str, str] = {site.location: site.name for site in MAPPED_SITES}
