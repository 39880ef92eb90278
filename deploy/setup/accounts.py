"""Prints whom the console lets in at first, with the first passwords.

`docker compose run --rm tools deploy.setup.accounts`. They are in the volume of the people, where the set-up laid them;
the console asks for new ones at the first sign-in.
"""

from __future__ import annotations

import sys

from deploy.setup.places import MOUNTED

FOLDER = MOUNTED / "accounts"


def main() -> int:
    """Entry point."""
    found = sorted(FOLDER.iterdir()) if FOLDER.is_dir() else []
    if not found:
        sys.stderr.write(f"{FOLDER} holds no first passwords; run this with the volume of the people\n")
        return 1
    for path in found:
        sys.stdout.write(f"{path.name:<16}{path.read_text(encoding='utf-8').strip()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
