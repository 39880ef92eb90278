"""A small connector that uses most of the language, as the files of its folder; the language's document shows it.

A test loads it and runs its example, so what the document shows works.
"""

from __future__ import annotations

from collections.abc import Mapping

NAME = "helpdesk-people"
COLUMNS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sis", "people"): ("id", "first", "last", "login", "kind", "grade", "school_year", "site", "left_on", "edited_at"),
    ("helpdesk", "groups"): ("target_id", "code", "name"),
    ("helpdesk", "users"): ("target_id", "number", "name", "mail", "kind", "year", "group_id", "enabled"),
}
"""What the two systems of the example would declare."""

_DEFINITION = """\
schema_version: 1
name: helpdesk-people
version: 1.0.0
title: People of the district to the help desk
lifecycle: draft

target: {system: helpdesk, connection: helpdesk}
sources:
  person: {system: sis, connection: sis, entity: people}

entities:
  groups:
    # One group for each site at which anybody is: of the rows of a site, the first stands for it.
    from:
      source: person
      where: [{column: site, steps: [trim], in_table: sites}]
      pick:
        by: {column: site, steps: [trim]}
        order: [{column: id}]
    key: code
    fields:
      code: {from: [person.site], steps: [trim]}
      name: {from: [person.site], steps: [trim], map: sites, required: true}

  users:
    from:
      source: person
      where: [{column: left_on, is_blank: true}]
      pick:
        by: {column: id, steps: [trim, upper]}
        order: [{column: edited_at, direction: desc}]
    scope: [{column: person.kind, steps: [trim, lower], in: [staff, student]}]
    after: [groups]
    key: number
    correlate: [mail]
    cohort: [kind]
    fields:
      number: {from: [person.id], steps: [trim, upper], required: true, pii: identifier}
      name:
        concat:
          parts:
            - {column: person.first, steps: [trim, proper_name]}
            - {column: person.last, steps: [trim, proper_name]}
        required: true
        is_rename: true
        pii: name
      mail:
        # Staff and students have addresses in different domains.
        cases:
          - when: [{column: person.login, is_blank: true}]
          - when: [{column: person.kind, steps: [trim, lower], equals: student}]
            concat: {parts: [{column: person.login}, {text: "@students.example.org"}], separator: ""}
          - when: []
            concat: {parts: [{column: person.login}, {text: "@example.org"}], separator: ""}
        steps: [lower]
        format: email
        pii: contact
      kind:
        from: [person.kind]
        steps: [trim, lower]
        format: enum
        values: [staff, student]
        is_role: true
        privileged: [staff]
      year: {from: [person.school_year], steps: [{python: school_year}], clear: true}
      group_id:
        # The help desk's own id of the group for the person's site.
        from: [person.site]
        steps: [trim]
        lookup: {entity: groups, by: code}
      enabled: {constant: true, format: boolean}
    removal: {ladder: delete, suspended: {enabled: false}, delete_after_days: 90}

guard:
  suspend: {count: 40}

# On school days at half past two in the night; not while the student system changes over to the new year.
schedule:
  cron: "30 2 * * *"
  time_zone: America/Los_Angeles
  calendar: school_days
  jitter_seconds_max: 600
"""
_SITES = """\
site,name
010,Alder Elementary
020,Birch High
"""
_PROTECTED = """\
users:
  - {key: E1, reason: Administrator of the help desk}
  - {target_id: u-1, reason: Account of the vendor's support}
  - {where: [{column: mail, matches: "breakglass.*"}], reason: Accounts for emergencies}
"""
_EXAMPLE = """\
title: A student, and somebody whose site has no group yet
entity: users
sources:
  person:
    - {id: s7, first: ANA, last: DE LA CRUZ, login: Adelacruz, kind: Student, school_year: 26-27, site: "010",
       edited_at: "2026-08-01"}
    - {id: E2, first: Leo, last: McKay, login: lmckay, kind: staff, site: "020", edited_at: "2026-08-01"}
target:
  groups:
    - {code: "010", target_id: g-1}
records:
  - {key: S7, number: S7, name: Ana De la Cruz, mail: adelacruz@students.example.org, kind: student, year: 2026-2027,
     group_id: g-1, enabled: true}
quarantined:
  - {key: E2, source: person, field: group_id, code: NRM_LOOKUP, value_class: text(3), rule: "lookup: groups.code"}
out_of_scope: 0
"""
FILES: Mapping[str, str] = {
    "connector.yaml": _DEFINITION,
    "tables/sites.csv": _SITES,
    "protected.yaml": _PROTECTED,
    "examples/student.yaml": _EXAMPLE,
}
"""Texts by their names in the connector's folder."""
