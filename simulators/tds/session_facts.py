"""What functions and globals of the session answer: DB_NAME(), GETDATE(), SERVERPROPERTY(), @@VERSION and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators.tds.catalogue import object_id
from simulators.tds.collation import COLLATION_NAME
from simulators.tds.errors import NotSimulatedError
from simulators.tds.schema import SYSTEM_DATABASES
from simulators.tds.sqltypes import DATETIME, INT, NAME, SqlType, Stored, text_type, timestamp_text

if TYPE_CHECKING:
    from simulators.tds.session import Session

_SECOND_TIMES: Final = SqlType(kind="datetime2", scale=7)
_SMALLINT: Final = SqlType(kind="smallint")


def version_text(release: str) -> str:
    """What @@VERSION says."""
    return (
        f"Microsoft SQL Server 2022 (RTM) - {release} (X64) \n\tSimulated for tests\n"
        "\tStandard Edition (64-bit) on Linux <X64>"
    )


def global_of(session: Session, name: str) -> tuple[Stored, SqlType]:
    """The value of a `@@` variable."""
    schema = session.house.store.schema
    text = text_type("nvarchar", 300)
    known: dict[str, tuple[Stored, SqlType]] = {
        "@@VERSION": (version_text(schema.version), text),
        "@@SERVERNAME": (schema.server_name, NAME),
        "@@SERVICENAME": ("MSSQLSERVER", NAME),
        "@@SPID": (session.spid, _SMALLINT),
        "@@TRANCOUNT": (session.transaction_count, INT),
        "@@ROWCOUNT": (session.row_count, INT),
        "@@ERROR": (0, INT),
        "@@IDENTITY": (None, SqlType(kind="decimal", precision=38)),
        "@@LANGUAGE": ("us_english", NAME),
        "@@DATEFIRST": (7, SqlType(kind="tinyint")),
        "@@LOCK_TIMEOUT": (-1, INT),
        "@@MAX_PRECISION": (38, SqlType(kind="tinyint")),
        "@@NESTLEVEL": (0, INT),
        "@@OPTIONS": (5496, INT),
        "@@TEXTSIZE": (2_147_483_647, INT),
        "@@MICROSOFTVERSION": (int(schema.version.split(".")[0]) << 24, INT),
    }
    if name not in known:
        raise NotSimulatedError(name)
    return known[name]


def constant_of(session: Session, name: str, arguments: tuple[Stored, ...]) -> tuple[Stored, SqlType] | None:  # noqa: PLR0911, PLR0912 - one branch and one way out for each kind
    """What a function of the session answers for these arguments; None when it is no such function."""
    moment = session.house.clock()
    match name, arguments:
        case (("GETDATE" | "GETUTCDATE" | "CURRENT_TIMESTAMP"), ()):
            return timestamp_text(moment, DATETIME), DATETIME
        case (("SYSDATETIME" | "SYSUTCDATETIME"), ()):
            return timestamp_text(moment, _SECOND_TIMES), _SECOND_TIMES
        case "DB_NAME", ():
            return session.database, NAME
        case "DB_NAME", (int(number),):
            return _database_names(session).get(number), NAME
        case "DB_ID", ():
            return _database_number(session, session.database), _SMALLINT
        case "DB_ID", (str(wanted),):
            return _database_number(session, wanted), _SMALLINT
        case (("SCHEMA_NAME" | "USER_NAME" | "CURRENT_USER" | "SESSION_USER" | "USER"), ()):
            return ("dbo" if name == "SCHEMA_NAME" else session.login), NAME
        case (("SUSER_NAME" | "SUSER_SNAME" | "SYSTEM_USER" | "ORIGINAL_LOGIN"), ()):
            return session.login, NAME
        case "HOST_NAME", ():
            return session.host, NAME
        case "APP_NAME", ():
            return session.program, NAME
        case "OBJECT_ID", (str(wanted), *_):
            return _object_number(session, wanted), INT
        case "HAS_DBACCESS", (str(wanted),):
            return int(session.house.store.schema.grants(session.login, wanted) is not None), INT
        case (("IS_SRVROLEMEMBER" | "IS_MEMBER" | "IS_ROLEMEMBER"), _):
            return 0, INT
        case "HAS_PERMS_BY_NAME", (str(wanted), str(kind), str(verb)) if kind.upper() == "OBJECT":
            is_seen = _object_number(session, wanted) is not None
            return int(is_seen and verb.upper() == "SELECT"), INT
        case "SERVERPROPERTY", (str(wanted),):
            return _server_property(session, wanted)
        case "DATABASEPROPERTYEX", (str(), str(wanted)):
            answers = {"collation": COLLATION_NAME, "status": "ONLINE", "updateability": "READ_WRITE"}
            return answers.get(wanted.lower()), NAME
        case _:
            return None


def _database_names(session: Session) -> dict[int, str]:
    names = dict(enumerate(SYSTEM_DATABASES, 1))
    return names | dict(enumerate(session.house.store.schema.databases, 5))


def _database_number(session: Session, wanted: str) -> int | None:
    for number, name in _database_names(session).items():
        if name.lower() == wanted.lower():
            return number
    return None


def _object_number(session: Session, wanted: str) -> int | None:
    parts = [part.strip("[]") for part in wanted.split(".")]
    database, schema, name = ("", "", *parts)[-3:]
    return object_id(session.facts(database or None), schema=schema or "dbo", name=name)


def _server_property(session: Session, wanted: str) -> tuple[Stored, SqlType]:
    schema = session.house.store.schema
    texts = {
        "productversion": schema.version,
        "productlevel": "RTM",
        "productmajorversion": schema.version.split(".")[0],
        "edition": "Standard Edition (64-bit)",
        "servername": schema.server_name,
        "machinename": schema.server_name,
        "collation": COLLATION_NAME,
    }
    numbers = {"engineedition": 2, "isclustered": 0, "ishadrenabled": 0, "isintegratedsecurityonly": 0}
    if wanted.lower() in numbers:
        return numbers[wanted.lower()], INT
    return texts.get(wanted.lower()), NAME
