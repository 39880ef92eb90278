"""The Aeries REST API over HTTP: `create_app` puts the vendor behind the kit's gateway and control plane.

The order of refusals: virtual directory (a page in HTML), version (404), form of the answer (406), certificate (401),
path (404), area (401 or 403), body (413, 415, 400), record (404, 400, 500). README.md beside this file states every
rule by number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
from starlette.applications import Starlette

from simulators.aeries_api.asking import Asked, Note, Refused
from simulators.aeries_api.certificates import Certificate, known
from simulators.aeries_api.district import District
from simulators.aeries_api.feeds import find_changes
from simulators.aeries_api.finding import Listing, Single
from simulators.aeries_api.reading import find
from simulators.aeries_api.showing import encoded
from simulators.aeries_api.switches import AeriesSwitches
from simulators.aeries_api.writing import right_for, write
from simulators.kit.gateway import LOGIN_PAGE, Answer, Call
from simulators.kit.paging import Page
from simulators.kit.staging import Stage, staged
from simulators.kit.switches import Switchboard

REQUEST_BODY_BYTES_MAX = 256 * 1024
_HTML = "text/html; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_NOT_FOUND_PAGE = b"<!doctype html><html><head><title>404 - File or directory not found.</title></head></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class AeriesConfig:
    """One simulated Aeries."""

    certificates: Sequence[Certificate]
    seed: Any
    """The state to begin with, as README.md describes it."""
    virtual_directory: str = "aeries"
    """What stands before `/api/v5`; may be empty or have several parts."""
    switches: AeriesSwitches = field(default_factory=AeriesSwitches)
    stage: Stage = field(default_factory=Stage)


def create_app(config: AeriesConfig) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`, which can cut connections."""
    if not config.certificates:
        raise ValueError("at least one certificate is needed")
    switchboard = Switchboard(config.switches)
    return staged("aeries_api", Aeries(config, switchboard), config.stage, switchboard=switchboard)


class Aeries:
    """The vendor itself: one call in, one answer out, nothing awaited between."""

    body_bytes_max = REQUEST_BODY_BYTES_MAX

    def __init__(self, config: AeriesConfig, switchboard: Switchboard[AeriesSwitches]) -> None:
        self._certificates = tuple(config.certificates)
        self._root = tuple(part.lower() for part in config.virtual_directory.split("/") if part)
        self._clock = config.stage.clock
        self._switchboard = switchboard
        self._district = District.from_document(config.seed)

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state."""
        return self._district.document()

    def write_state(self, document: Any) -> None:
        """Replace the whole state."""
        self._district = District.from_document(document)

    def close(self) -> None:
        """Hold no file, so let go of none."""

    def page(self, call: Call) -> Page | None:
        """Say which stretch of which list a call asks for; a list without paging is one page."""
        if call.method != "GET" or self._is_outside(call):
            return None
        try:
            found = self._find(self._asked(call, note=_no_note, now=self._clock()))
        except Refused:
            return None
        if not isinstance(found, Listing):
            return None
        total = len(found.rows)
        stop = total if found.stop is None else found.stop
        return Page(collection=found.collection, offset=found.start, limit=max(0, stop - found.start), total=total)

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no the way this vendor does."""
        return _answer(status, {"Message": message, **more})

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Answer one call, and do what it asks unless it is pretended."""
        if self._is_outside(call):  # A2
            self._note(call, "A2", "the path is not below the virtual directory")
            if self._switchboard.now.wrong_directory == "login_page":
                return Answer(status=200, body=LOGIN_PAGE, content_type=_HTML)
            return Answer(status=404, body=_NOT_FOUND_PAGE, content_type=_HTML)
        try:
            return self._dispatch(call, window=window, pretend=pretend)
        except Refused as refused:
            return self.refusal(refused.status, str(refused))

    def _dispatch(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        def note(rule: str, text: str) -> None:
            self._note(call, rule, text)

        self._check_form(call)
        asked = self._asked(call, note=note, now=self._clock())
        if asked.words == ("systeminfo",) and call.method == "GET":
            return _answer(200, self._system_info(asked))
        certificate = self._authorise(call)
        self._check_year(asked)
        if (right := right_for(asked)) is not None:
            self._allow(certificate, right.area, right.verb)
            return self._write(call, asked, certificate=certificate, pretend=pretend)
        if call.method != "GET":
            raise Refused(405, f"The requested resource does not support http method '{call.method}'.")
        try:
            found = self._find(asked)
        except Refused as refused:
            if refused.area is not None:  # whether a record is there is told only to those who may read its area
                self._allow(certificate, refused.area, "read")
            raise
        self._allow(certificate, found.area, "read")
        return Answer(
            status=200,
            body=encoded(found, asked=asked, certificate=certificate, window=window),
            content_type=_JSON,
        )

    def _write(self, call: Call, asked: Asked, *, certificate: Certificate, pretend: bool) -> Answer:
        if call.method != "GET":
            asked = replace(_with_body(asked, call), denied=certificate.denied_fields)
        written = write(asked, pretend=pretend)
        # What was written comes back as an object, whatever the form of reads.
        switches = asked.switches.model_copy(update={"single_record": "object", "one_element_list": "array"})
        body = encoded(
            Single(area="", shape=written.shape, row=written.row),
            asked=replace(asked, switches=switches),
            certificate=certificate,
            window=None,
        )
        if written.log is not None:
            body = orjson.dumps({"LogDetails": [written.log], "Students": [orjson.Fragment(body)]})
        return Answer(
            status=written.status,
            body=body,
            content_type=_JSON,
            effect=written.effect,
            external_id=written.external_id,
            record_id=written.record_id,
        )

    def _find(self, asked: Asked) -> Listing | Single:
        return find_changes(asked) or find(asked)

    def _is_outside(self, call: Call) -> bool:
        parts = tuple(part.lower() for part in call.segments)
        return parts[: len(self._root) + 1] != (*self._root, "api")

    def _asked(self, call: Call, *, note: Note, now: datetime) -> Asked:
        parts = call.segments[len(self._root) + 1 :]
        if parts[:1] not in {("v5",), ("V5",)}:  # A3
            raise Refused(404, "No HTTP resource was found that matches the request URI.")
        path = parts[1:]
        if path[-1:] == ("",):
            path = path[:-1]
        query = {name.lower(): value for name, value in call.query.items()}
        year_number = self._year_for(query.get("databaseyear"))
        return Asked(
            method=call.method,
            path=path,
            query=query,
            district=self._district,
            year=self._district.years[year_number],
            year_number=year_number,
            switches=self._switchboard.now,
            now=now,
            note=note,
        )

    def _available_years(self) -> list[int]:
        chosen = self._switchboard.now.available_years
        return sorted(year for year in self._district.years if chosen is None or year in chosen)

    def _year_for(self, text: str | None) -> int:
        """The year that answers: the one asked for, or silently the default one (A8)."""
        by_text = {str(year): year for year in self._available_years()}
        return by_text.get(text or "", self._default_year())

    def _default_year(self) -> int:
        chosen = self._switchboard.now.default_year
        return chosen if chosen is not None and chosen in self._district.years else self._district.default_year

    def _check_year(self, asked: Asked) -> None:
        wanted = asked.query.get("databaseyear")
        if wanted is None:
            asked.note("A8", "no DatabaseYear: the default year answered")
        elif wanted != str(asked.year_number):
            asked.note("A8", "DatabaseYear is malformed or not available: the default year answered")

    def _system_info(self, asked: Asked) -> dict[str, object]:
        now = self._district.local(asked.now)
        offset = now.strftime("%z")
        return {
            "AeriesVersion": self._district.system["AeriesVersion"],
            "DatabaseYear": f"{asked.year_number}-{asked.year_number + 1}",
            "AvailableDatabaseYears": [f"{year}-{year + 1}" for year in reversed(self._available_years())],
            "LocalTimeZoneName": self._district.system["LocalTimeZoneName"],
            "CurrentDateTime": f"{now:%Y-%m-%dT%H:%M:%S.%f}0{offset[:3]}:{offset[3:]}",
        }

    def _check_form(self, call: Call) -> None:
        accepted = call.headers.get("accept", "").lower()
        if "json" in accepted:
            return
        if "xml" in accepted and "*/*" not in accepted:  # A7
            raise Refused(406, "This simulator answers in JSON only.")
        self._note(call, "A7", "no Accept header that names application/json")

    def _authorise(self, call: Call) -> Certificate:
        sent = call.headers.get("aeries-cert")
        if sent is None and "cert" in call.query:
            sent = call.query["cert"]
            call.query["cert"] = "withheld"  # the journal keeps the query, and never a credential
            self._note(call, "A4", "the certificate came in the query instead of the header")
        certificate = known(self._certificates, sent) if sent is not None else None
        if certificate is None:
            raise Refused(401, "Authorization has been denied for this request.")
        return certificate

    def _allow(self, certificate: Certificate, area: str, verb: str) -> None:
        if not certificate.allows(area, verb):  # A5
            raise Refused(
                self._switchboard.now.denied_area_status,
                f"The district has not granted {verb} permission to {area}.",
            )

    def _note(self, call: Call, rule: str, text: str) -> None:
        self._district.violations.add(rule, method=call.method, path=call.path, text=text)


def _with_body(asked: Asked, call: Call) -> Asked:
    if call.is_body_too_large:
        raise Refused(413, f"The body is over {REQUEST_BODY_BYTES_MAX} bytes.")
    if "json" not in call.headers.get("content-type", "").lower():
        asked.note("A31", "the body is not declared as application/json")
        raise Refused(415, "The request entity's media type is not supported for this resource.")
    try:
        body = orjson.loads(call.body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "The request is invalid: the body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refused(400, "The request is invalid: the body is not an object.")
    return replace(asked, body=body)


def _answer(status: int, document: object) -> Answer:
    return Answer(status=status, body=orjson.dumps(document), content_type=_JSON)


def _no_note(rule: str, text: str) -> None:
    """Note nothing: a request is looked at twice, and what it does wrong counts once."""
