"""Asks the program in this container whether it takes work: /readyz on its admin port. 0 yes, 1 no.

The images have neither curl nor a shell. It imports little, because it is started every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys

SECONDS_MAX = 4.0
OK = 200


def main() -> int:
    """Ask once."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["AETHER_ADMIN_PORT"]), timeout=SECONDS_MAX)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        sys.stdout.write(f"{answer.status} {answer.read(200).decode(errors='replace').strip()}\n")
    except OSError as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    finally:
        connection.close()
    return 0 if answer.status == OK else 1


if __name__ == "__main__":
    sys.exit(main())
