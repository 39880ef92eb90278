"""The sample district as a whole: people first, then the rows in which two databases hold them.

For every person the wanted contact is drawn first and clean; the rows are then made from it by adding mess. So the
truth is never computed by cleaning, and a mistake in anyone's cleaning cannot hide in it. It writes no database.
"""

from __future__ import annotations

import random
from datetime import date

from simulators.district import aeries_rows, class_rows, hr_rows
from simulators.district.people import REFERENCE_DATE, STAFF_DEFAULT, STAFF_MAX, STAFF_MIN, World, draw_people
from simulators.district.students import STUDENTS_MAX


def generate(
    *, seed: int = 7, staff: int = STAFF_DEFAULT, students: int = 0, reference: date = REFERENCE_DATE
) -> World:
    """Make the district; the same arguments give the same rows in the same order.

    The rows of staff are the same with and without students, but for the positions that nobody holds (TCH).
    """
    if not STAFF_MIN <= staff <= STAFF_MAX:
        raise ValueError(f"staff: {staff}, allowed {STAFF_MIN} to {STAFF_MAX}; choose a size between them")
    if not 0 <= students <= STUDENTS_MAX:
        raise ValueError(f"students: {students}, allowed 0 to {STUDENTS_MAX}; choose a size between them")
    rng = random.Random(f"district/{seed}")
    world = World(seed=seed, staff=staff, reference=reference)
    world.people.extend(draw_people(rng, staff))
    hr_rows.add(world, rng)
    aeries_rows.add(world, rng)
    if students:
        world.classes = class_rows.add(world, students)
    return world
