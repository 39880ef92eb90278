"""Reading and writing the batch format: multipart/mixed with one HTTP request or answer in each part (rules B)."""

import email.parser
import email.policy
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from simulators.google_directory.errors import Refused
from simulators.kit.gateway import QUERY_FIELDS_MAX, Answer, Call

INNER_CALLS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """One call inside a batch."""

    content_id: str
    call: Call


def inner_calls(call: Call) -> list[Inner]:
    """Read the calls of a batch; what is no batch, or too long a one, is refused whole (B1, B2)."""
    content_type = call.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/mixed"):
        raise Refused("badRequest", "Failed to parse batch request: it is not multipart/mixed", rule="B1")
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + call.body)
    parts = list(message.iter_parts()) if message.is_multipart() else []
    if not parts:
        raise Refused("badRequest", "Failed to parse batch request: it has no parts", rule="B1")
    if len(parts) > INNER_CALLS_MAX:
        raise Refused("badRequest", f"The batch has {len(parts)} calls, at most {INNER_CALLS_MAX} fit", rule="B2")
    inner = []
    for part in parts:
        content = part.get_payload(decode=True)
        if part.get_content_type() != "application/http" or not isinstance(content, bytes):
            raise Refused("badRequest", "Failed to parse batch request: a part is not application/http", rule="B1")
        authorization = call.headers.get("authorization", "")
        inner.append(Inner(content_id=str(part.get("Content-ID", "")), call=_call(content, authorization)))
    return inner


def answer_of(answers: list[tuple[str, Answer]], *, number: int) -> tuple[bytes, str]:
    """Write the answer of a batch, in the order of its calls, and its content type (B3)."""
    boundary = f"batch_simulated_{number}"
    lines: list[bytes] = []
    for content_id, answer in answers:
        reason = HTTPStatus(answer.status).phrase
        lines.append(f"--{boundary}\r\nContent-Type: application/http\r\n".encode())
        if content_id:
            name = f"<response-{content_id[1:]}" if content_id.startswith("<") else f"response-{content_id}"
            lines.append(f"Content-ID: {name}\r\n".encode())
        lines.append(f"\r\nHTTP/1.1 {answer.status} {reason}\r\n".encode())
        lines.append(f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n\r\n".encode())
        lines.append(answer.body + b"\r\n")
    lines.append(f"--{boundary}--\r\n".encode())
    return b"".join(lines), f"multipart/mixed; boundary={boundary}"


def _call(content: bytes, authorization: str) -> Call:
    head, _, body = content.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = head.decode("latin-1").lstrip("\n").split("\n")
    words = lines[0].split()
    if len(words) < 2:
        raise Refused("badRequest", "Failed to parse batch request: a part has no request line", rule="B1")
    target, _, query = words[1].partition("?")
    if "://" in target:
        target = "/" + target.split("://", maxsplit=1)[1].partition("/")[2]
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if authorization:
        headers.setdefault("authorization", authorization)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        pairs = []
    return Call(
        method=words[0].upper(),
        path=unquote(target),
        segments=tuple(unquote(part) for part in target.split("/")[1:]),
        query=dict(pairs),
        headers=headers,
        body=body,
    )
