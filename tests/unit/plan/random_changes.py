"""Changes and asides of every form that their types allow, for tests that try many."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.failures import CATALOGUE
from shared.hashing.canonical import INTEGER_MAX
from shared.plan.change import Aside, Cause, Change, ChangeClass, FieldChange, Write
from shared.ports.wire import Value

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES: st.SearchStrategy[Value] = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
HEX_32 = st.binary(min_size=32, max_size=32).map(bytes.hex)
CHANGES = st.builds(
    Change,
    change_id=HEX_32,
    target=TEXT,
    entity=TEXT,
    key=TEXT,
    target_id=st.none() | TEXT,
    change_class=st.sampled_from(ChangeClass),
    verb=st.sampled_from(["create", "update", "suspend", "reactivate", "delete"]),
    fields=st.lists(
        st.builds(FieldChange, name=TEXT, before=VALUES, after=VALUES, cause=st.sampled_from(Cause)), max_size=4
    ).map(tuple),
    precondition=st.none() | TEXT,
    write=st.builds(Write, method=TEXT, path=TEXT, body=st.none() | st.dictionaries(TEXT, VALUES, max_size=4)),
    commitment_key=HEX_32,
    wave=st.integers(1, INTEGER_MAX),
    cohort=st.none() | TEXT,
    marks=st.sampled_from([(), ("deferred",)]),
)
ASIDES = st.builds(
    Aside,
    entity=TEXT,
    key=TEXT,
    target_id=st.none() | TEXT,
    change_class=st.sampled_from(ChangeClass),
    fields=st.lists(TEXT, max_size=3).map(tuple),
    code=st.sampled_from(sorted(CATALOGUE)),
    commitment_key=st.none() | HEX_32,
)
