"""What differs between one vendor's drop box and another's."""

from pydantic import Field

from simulators.kit.switches import Switches


class SftpSwitches(Switches):
    """How the drop box behaves until told otherwise."""

    takes_password: bool = True
    """Rule D2."""
    takes_key: bool = True
    """Rule D3."""
    has_posix_rename: bool = True
    """Whether `posix-rename@openssh.com` is offered; rule D11."""
    is_rename_overwriting: bool = False
    """Whether the plain rename replaces its target, which the protocol forbids and some servers do; rule D10."""
    file_names: tuple[str, ...] = ()
    """The exact names the vendor's import looks for; others are noted as violations; any name when empty; rule D20."""
    file_bytes_max: int | None = Field(default=None, ge=1)
    """The largest file that is taken; rule D21."""
