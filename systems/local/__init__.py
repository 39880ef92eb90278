"""The district's own tables: staff, students, courses, sections, enrolments and assets in one plain form."""
