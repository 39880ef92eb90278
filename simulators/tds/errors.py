"""The errors that SQL Server sends, with their numbers, severities and words as clients know them.

It only makes the values; the session decides what an error ends. `NotSimulatedError` is the one that a real server
would not send: the request is beyond this simulator, and that is recorded as a violation.
"""

from typing import Final

FATAL_SEVERITY: Final = 20
"""From this severity on the server closes the connection."""


class SqlServerError(Exception):
    """One ERROR token."""

    def __init__(self, number: int, message: str, *, severity: int = 16, state: int = 1) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.severity = severity
        self.state = state


class NotSimulatedError(SqlServerError):
    """Valid on a real server perhaps, but beyond this one."""

    def __init__(self, what: str) -> None:
        super().__init__(40510, f"'{what}' is not simulated here.")


class ReadOnlyLoginError(SqlServerError):
    """A write by a login that may only read."""


def syntax_error(near: str) -> SqlServerError:
    """The batch cannot be parsed."""
    return SqlServerError(102, f"Incorrect syntax near '{near}'.", severity=15)


def login_failed(user: str) -> SqlServerError:
    """The password is wrong or the login unknown; the client is never told which."""
    return SqlServerError(18456, f"Login failed for user '{user}'.", severity=14)


def cannot_open_database(database: str) -> SqlServerError:
    """The database of the login packet is not there, or not for this login."""
    message = f'Cannot open database "{database}" requested by the login. The login failed.'
    return SqlServerError(4060, message, severity=11)


def no_database_access(*, login: str, database: str) -> SqlServerError:
    """A database named in a statement is not for this login."""
    message = (
        f'The server principal "{login}" is not able to access the database "{database}" '
        "under the current security context."
    )
    return SqlServerError(916, message, severity=14, state=2)


def no_such_database(database: str) -> SqlServerError:
    """USE names an unknown database."""
    return SqlServerError(911, f"Database '{database}' does not exist. Make sure that the name is entered correctly.")


def invalid_object(name: str) -> SqlServerError:
    """A table or view is not there."""
    return SqlServerError(208, f"Invalid object name '{name}'.")


def invalid_column(name: str) -> SqlServerError:
    """A column is not there."""
    return SqlServerError(207, f"Invalid column name '{name}'.")


def permission_denied(*, verb: str, table: str, database: str, schema: str) -> SqlServerError:
    """The login may not do this to this object."""
    message = f"The {verb} permission was denied on the object '{table}', database '{database}', schema '{schema}'."
    kind = SqlServerError if verb == "SELECT" else ReadOnlyLoginError
    return kind(229, message, severity=14, state=5)


def deadlock(spid: int) -> SqlServerError:
    """The transaction was chosen as the victim of a deadlock."""
    message = (
        f"Transaction (Process ID {spid}) was deadlocked on lock resources with another process and has been "
        "chosen as the deadlock victim. Rerun the transaction."
    )
    return SqlServerError(1205, message, severity=13, state=51)


def cannot_convert(*, value: str, source: str, target: str) -> SqlServerError:
    """Text is no number of the wanted type."""
    message = f"Conversion failed when converting the {source} value '{value}' to data type {target}."
    return SqlServerError(245, message)


def cannot_convert_date() -> SqlServerError:
    """Text is no date or time."""
    return SqlServerError(241, "Conversion failed when converting date and/or time from character string.")


def overflow(target: str) -> SqlServerError:
    """A number does not fit its type."""
    return SqlServerError(8115, f"Arithmetic overflow error converting expression to data type {target}.", state=2)
