"""How the Directory API says no: reason, code, domain and text, and the document that carries them.

A client must decide by reason: one code stands for several of them. Rule numbers are those of README.md.
"""

from typing import Any

REASONS: dict[str, tuple[int, str, str]] = {
    "accessNotConfigured": (403, "usageLimits", "Access Not Configured. The API is not enabled in this project."),
    "authError": (401, "global", "Invalid Credentials"),
    "backendError": (503, "global", "Service unavailable. Please try again"),
    "badRequest": (400, "global", "Bad Request"),
    "conditionNotMet": (412, "global", "Precondition Failed"),
    "domainCannotUseApis": (403, "global", "Domain cannot use apis."),
    "duplicate": (409, "global", "Entity already exists."),
    "forbidden": (403, "global", "Not Authorized to access this resource/api"),
    "insufficientPermissions": (403, "global", "Request had insufficient authentication scopes."),
    "invalid": (400, "global", "Invalid Input"),
    "limitExceeded": (412, "global", "Domain user limit reached."),
    "notFound": (404, "global", "Resource Not Found"),
    "notImplemented": (501, "global", "Not Implemented"),
    "quotaExceeded": (403, "usageLimits", "Quota exceeded for the current request"),
    "rateLimitExceeded": (429, "usageLimits", "Rate Limit Exceeded"),
    "required": (400, "global", "Required"),
    "requestTooLarge": (413, "global", "Request Too Large"),
    "userRateLimitExceeded": (403, "usageLimits", "User Rate Limit Exceeded"),
}
"""Reason to code, domain and usual text (C6)."""


class Refused(Exception):
    """The vendor says no; `rule` is set where the request broke a documented rule, and says which."""

    def __init__(self, reason: str, message: str = "", *, code: int = 0, rule: str = "") -> None:
        usual_code, self.domain, usual_message = REASONS[reason]
        self.code = code or usual_code
        self.reason = reason
        self.message = message or usual_message
        self.rule = rule
        super().__init__(f"{self.code} {reason}: {self.message}")

    def document(self) -> dict[str, Any]:
        """Write the error as the API does."""
        return error_document(code=self.code, reason=self.reason, message=self.message, domain=self.domain)


def error_document(*, code: int, reason: str, message: str, domain: str) -> dict[str, Any]:
    """Write an error body."""
    errors = [{"message": message, "domain": domain, "reason": reason}]
    return {"error": {"code": code, "message": message, "errors": errors}}


def not_found(what: str) -> Refused:
    """Refuse a key that stands for nothing; `what` is the name of the key's parameter."""
    return Refused("notFound", f"Resource Not Found: {what}")
