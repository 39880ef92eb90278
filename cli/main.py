"""The command line `aether`: its verbs, and how whatever goes wrong becomes a message and an exit code.

Exit codes: 0 clean, 1 error, 2 changes pending, 3 partial or paused, 4 held or blocked, 5 stale, expired or
superseded, 6 rejected or cancelled, 64 a mistyped command line, 130 Ctrl-C. Verbs that act on a run exit by the state
they leave it in; verbs that only show something exit 0, verbs that compare exit 2 when there is a difference.

Only typer is imported here: what a verb needs is loaded when it is called, so that help and completion stay quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from cli.options import JsonOption, RootDataOption, RootProfileOption
from cli.problem import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE, CommandFailed
from cli.traces import traced
from cli.verbs import approvals, audit, connectors, guard, house, quarantine, runs, schedule, steering, systems

USAGE_EXIT_OF_TYPER = 2

HELP = """Moves people, courses and assets from systems of record to vendors: planned, approved, applied once, proven.

Exit codes: 0 clean · 1 error · 2 changes pending · 3 partial or paused · 4 held or blocked · 5 stale, expired or
superseded · 6 rejected or cancelled · 64 usage error · 130 interrupted. Verbs that act on a run exit by the state
they leave it in.
"""

# Plain help: the rich one triples the time until it is on the screen.
app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback(help=HELP)
def before_the_verb(
    data: RootDataOption = None,
    profile: RootProfileOption = None,
    is_json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda wanted: _tell_version(wanted=wanted))
    ] = False,
) -> None:
    """Take the options that may also stand before the verb; `session_of` reads them."""


def _tell_version(*, wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        sys.stdout.write(f"aether {metadata.version('aether-integrator')}\n")
        raise typer.Exit


runs.add_to(app)
steering.add_to(app)
approvals.add_to(app)
audit.add_to(app)
connectors.add_to(app)
guard.add_to(app)
quarantine.add_to(app)
systems.add_to(app)
schedule.add_to(app)
house.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    sys.exit(exit_code(list(sys.argv[1:] if arguments is None else arguments)))


def exit_code(arguments: list[str]) -> int:
    """Run one command line and return its exit code; messages go to stderr, results to stdout."""
    is_json = "--json" in arguments
    try:
        with traced():
            code = app(arguments, prog_name="aether", standalone_mode=False)
    except CommandFailed as failed:
        return _report(failed, is_json=is_json)
    except TyperException as error:
        code = EXIT_USAGE if error.exit_code == USAGE_EXIT_OF_TYPER else EXIT_ERROR
        show = getattr(error, "show", None)
        if callable(show):
            show()
        if is_json:
            _print_document(CommandFailed(error.format_message(), action="See --help.", exit_code=code))
        return code
    except (typer.Abort, KeyboardInterrupt):
        return _report(_interrupted(), is_json=is_json)
    except Exception as error:
        # The house's own errors become a message; anything else is a defect and keeps its trace.
        failed_or_none = _told(error)
        if failed_or_none is None:
            raise
        return _report(failed_or_none, is_json=is_json)
    if code == EXIT_INTERRUPTED:  # typer makes this number of Ctrl-C, and says nothing
        return _report(_interrupted(), is_json=is_json)
    return code if isinstance(code, int) else 0


def _interrupted() -> CommandFailed:
    return CommandFailed(
        "interrupted; what was asked of the services goes on",
        action="Look with `aether runs`.",
        exit_code=EXIT_INTERRUPTED,
    )


def _told(error: Exception) -> CommandFailed | None:
    from shared.errors import AetherError

    if isinstance(error, AetherError):
        return CommandFailed(error.message, action=error.failure.action, code=error.code)
    return None


def _report(failed: CommandFailed, *, is_json: bool) -> int:
    lead = f"{failed.code}: " if failed.code else ""
    sys.stderr.write(f"aether: {lead}{failed.text}\n")
    sys.stderr.write(f"  what to do: {failed.action}\n")
    if is_json:
        _print_document(failed)
    return failed.exit_code


def _print_document(failed: CommandFailed) -> None:
    import json

    sys.stdout.write(json.dumps(failed.document(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
