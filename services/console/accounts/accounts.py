"""Signing people in and keeping them signed in: what every page asks, and what the pages about accounts do.

The bus has the same people in the same roles; an account here adds a password, a second factor and sessions, never a
role. Each act is told to the audit log before it takes effect.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from services.console.accounts import second_factor
from services.console.accounts.changed_roles import tell_changed_roles
from services.console.accounts.passwords import Passwords, WeakPassword, check_password, first_password
from services.console.accounts.people import NEED_SECOND_FACTOR, People
from services.console.accounts.second_factor import Sealing
from services.console.accounts.store import Account, AccountStore, Session
from services.console.accounts.throttling import Throttle
from services.console.settings import ConsoleSettings
from services.console.telling import Telling
from services.console.visiting import Visitor
from shared.asking.problem import CommandFailed
from shared.clock import Clock
from shared.ids import Ids

SECRET_BYTES: Final = 32
ID_CHARACTERS: Final = 26
FAILURES_MAX: Final = 5
"""Failed tries in a row until an account is locked."""
LOCK_MINUTES: Final = (15, 30, 60)
"""How long, the first time and then; an admin's reset opens it at once."""
KNOWN_SECONDS: Final = 3.0
"""How long a session that was looked up is believed; ending one takes effect here at once, elsewhere after that."""
KNOWN_MAX: Final = 5_000
EXPIRED_AT_ONCE_MAX: Final = 20
"""How many forgotten sessions one sign-in clears away; the next takes the rest."""
SEEN_SECONDS: Final = 30.0
"""How often the use of a session is written down."""
AGENT_CHARACTERS_MAX: Final = 200
REFUSED: Final = "The name, the password or the code is not right, or the account is locked for a while."
"""The same words whatever was wrong: they must not tell who has an account."""


class Refused(Exception):
    """Not signed in; the message may be shown."""


class CodeNeeded(Exception):
    """Name and password are right; the second factor is asked for."""


@dataclass(slots=True)
class _Known:
    session: Session
    at: float
    written_at: datetime


class Accounts:
    """The accounts and sessions of one console."""

    def __init__(
        self,
        *,
        settings: ConsoleSettings,
        store: AccountStore,
        people: People,
        sealing: Sealing,
        telling: Telling,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.settings = settings
        self.store = store
        self.people = people
        self._sealing = sealing
        self._telling = telling
        self._clock = clock
        self._ids = ids
        self._passwords = Passwords()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._throttle = Throttle()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._complete: OrderedDict[str, frozenset[str]] = OrderedDict()  # sessions, and for which roles nothing lacks

    async def close(self) -> None:
        """Close the database."""
        await self.store.close()

    # -- who is signed in --------------------------------------------------------------------------------------------

    async def visitor_of(self, cookie: str) -> Visitor | None:
        """Whose session the cookie is of; None when it has ended. Counts as use."""
        return await self._visitor(cookie, is_use=True)

    async def is_open(self, cookie: str) -> bool:
        """Whether the session goes on; does not count as use, so that an open page keeps nobody signed in."""
        return await self._visitor(cookie, is_use=False) is not None

    async def _visitor(self, cookie: str, *, is_use: bool) -> Visitor | None:
        secret_hash = _hash(cookie)
        now, monotonic = self._clock.now(), self._clock.monotonic_seconds()
        known = self._known.get(secret_hash)
        if known is None or monotonic - known.at > KNOWN_SECONDS:
            session = await self.store.session(secret_hash)
            if session is None:
                self._known.pop(secret_hash, None)
                return None
            last = max(session.last_seen_at, known.session.last_seen_at) if known is not None else session.last_seen_at
            written = session.last_seen_at
            known = _Known(_seen(session, last), monotonic, written)
            self._known[secret_hash] = known
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        session = known.session
        idle = timedelta(minutes=self.settings.session_idle_minutes)
        roles = self.people.roles_of(session.user)
        if now >= session.expires_at or now - session.last_seen_at >= idle or roles is None:
            await self._end(session, why="expired" if roles is not None else "no longer a person of the house")
            return None
        if is_use:
            known.session = session = _seen(session, now)
            if (now - known.written_at).total_seconds() >= SEEN_SECONDS:
                known.written_at = now
                await self.store.change_session(session.id, last_seen_at=now)
        return Visitor(
            user=session.user,
            roles=roles if await self._may_use_roles(session, roles) else frozenset(),
            session=session.id,
            csrf=session.csrf,
            signed_in_at=session.created_at,
            stepped_up_until=session.stepped_up_until,
        )

    async def what_is_missing(self, user: str, *, by: str) -> str | None:
        """What a person must do before their roles count here: `password`, `second-factor`, or nothing."""
        account = await self.store.account(user) if by == "local" else None
        if account is None:
            return None
        if account.must_change:
            return "password"
        needs = self.settings.require_second_factor and (self.people.roles_of(user) or frozenset()) & NEED_SECOND_FACTOR
        return "second-factor" if needs and account.sealed_secret is None else None

    async def _may_use_roles(self, session: Session, roles: frozenset[str]) -> bool:
        # A role that is given while a session is open may ask for more than that session has proved.
        if self._complete.get(session.id) == roles:
            return True
        if await self.what_is_missing(session.user, by=session.by) is not None:
            return False
        self._complete[session.id] = roles
        while len(self._complete) > KNOWN_MAX:
            self._complete.popitem(last=False)
        return True

    # -- signing in --------------------------------------------------------------------------------------------------

    async def sign_in(self, *, user: str, password: str, code: str, agent: str, address: str) -> str:
        """The secret for the cookie; `CodeNeeded` for the second factor, `Refused` otherwise."""
        if not self.settings.local_accounts:
            raise Refused("People sign in at the district's provider here.")
        self._check_address(address)
        async with self._turn(user):
            return await self._sign_in(user, password=password, code=code, agent=agent, address=address)

    async def _sign_in(self, user: str, *, password: str, code: str, agent: str, address: str) -> str:
        # What no name can be is not brought before the database.
        account = await self.store.account(user if user.isprintable() else "")
        now = self._clock.now()
        is_locked = _is_locked(account, now)
        is_right = await self._passwords.is_right(password, account.password_hash if account is not None else None)
        roles = self.people.roles_of(user)
        if account is None or is_locked or not is_right or account.is_closed or roles is None:
            await self._count_failure(account, address, user=user, is_counted=account is not None and not is_locked)
            raise Refused(REFUSED)
        if account.sealed_secret is not None:
            if not code.strip():
                raise CodeNeeded
            if not await self._is_code(account, code):
                await self._count_failure(account, address, user=user, is_counted=True)
                raise Refused(REFUSED)
        values: dict[str, object] = {"failures": 0, "locked_until": None, "signed_in_at": now}
        if self._passwords.is_old(account.password_hash):
            values["password_hash"] = await self._passwords.hashed(password)
        secret = await self._begin(user, by="local", agent=agent)
        await self.store.change_account(user, **values)
        return secret

    async def sign_in_from_provider(self, user: str, *, agent: str) -> str:
        """The secret for the cookie of a person whom the provider has identified; `Refused` for who is nobody here."""
        async with self._turn(user):
            return await self._sign_in_from_provider(user, agent=agent)

    async def _sign_in_from_provider(self, user: str, *, agent: str) -> str:
        account = await self.store.account(user) if user.isprintable() else None
        if account is not None and account.is_closed:
            await self._telling.tell("sign_in_refused", actor=None, subject=user, by="oidc", why="account closed")
            raise Refused("Your account here is closed. Ask the admin to open it again.")
        if self.people.roles_of(user) is None:
            await self._telling.tell("sign_in_refused", actor=None, subject=user[:100], by="oidc", why="unknown here")
            raise Refused(
                f"The provider knows you as {user[:100]}, who is no person of this house. "
                "Ask the admin to add you to the identities file."
            )
        return await self._begin(user, by="oidc", agent=agent)

    async def tell_refused(self, why: str) -> None:
        """Tell that the provider's answer was not believed."""
        await self._telling.tell("sign_in_refused", actor=None, by="oidc", why=why)

    async def leave(self, cookie: str) -> None:
        """End the session of a browser in which somebody has just signed in anew."""
        session = await self.store.session(_hash(cookie))
        if session is not None:
            await self._end(session, why="signed in anew")

    async def sign_out(self, visitor: Visitor) -> None:
        """End the visitor's own session."""
        await self._telling.tell("signed_out", actor=visitor)
        await self._drop(visitor.session)

    async def step_up(self, visitor: Visitor, *, password: str, code: str, address: str) -> str:
        """Prove again who one is; the secret of the renewed session. `Refused` otherwise."""
        self._check_address(address)
        async with self._turn(visitor.user):
            return await self._step_up(visitor, password=password, code=code, address=address)

    async def _step_up(self, visitor: Visitor, *, password: str, code: str, address: str) -> str:
        account = await self.store.account(visitor.user)
        is_locked = _is_locked(account, self._clock.now())
        is_right = await self._passwords.is_right(password, account.password_hash if account is not None else None)
        if is_right and not is_locked and account is not None and account.sealed_secret is not None:
            is_right = await self._is_code(account, code)
        if account is None or is_locked or not is_right or account.is_closed:
            await self._count_failure(account, address, user=visitor.user, is_counted=not is_locked)
            raise Refused(REFUSED)
        await self.store.change_account(visitor.user, failures=0, locked_until=None)
        return await self.renew(visitor, by="local")

    async def renew(self, visitor: Visitor, *, by: str) -> str:
        """A session in place of the visitor's, that counts as freshly proved; the secret for the cookie."""
        now = self._clock.now()
        old = next((each for each in await self.store.sessions(visitor.user) if each.id == visitor.session), None)
        if old is None:
            raise Refused("The session has ended meanwhile; sign in again.")
        until = min(now + timedelta(minutes=self.settings.step_up_minutes), old.expires_at)
        await self._telling.tell("signed_in", actor=visitor, by=by, again="for a destructive act")
        secret = secrets.token_urlsafe(SECRET_BYTES)
        fresh = Session(
            secret_hash=_hash(secret),
            id=self._ids.token(ID_CHARACTERS),
            user=old.user,
            csrf=secrets.token_urlsafe(SECRET_BYTES),
            created_at=old.created_at,
            last_seen_at=now,
            expires_at=old.expires_at,
            stepped_up_until=until,
            by=old.by,
            agent=old.agent,
        )
        await self.store.add_session(fresh)
        await self._drop(old.id)
        return secret

    def _turn(self, user: str) -> asyncio.Lock:
        """One try at a time for one name: of many that come at once each is counted before the next is weighed."""
        return self._turns.setdefault(user, asyncio.Lock())

    async def _begin(self, user: str, *, by: str, agent: str) -> str:
        now = self._clock.now()
        await tell_changed_roles(self.people, self.store, self._telling)
        await self._telling.tell("signed_in", actor=user, by=by)
        await self._end_expired(now)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        session = Session(
            secret_hash=_hash(secret),
            id=self._ids.token(ID_CHARACTERS),
            user=user,
            csrf=secrets.token_urlsafe(SECRET_BYTES),
            created_at=now,
            last_seen_at=now,
            expires_at=now + timedelta(hours=self.settings.session_hours),
            stepped_up_until=None,
            by=by,
            agent=agent[:AGENT_CHARACTERS_MAX],
        )
        await self.store.add_session(session)
        return secret

    async def _end_expired(self, now: datetime) -> None:
        """End, and tell of, sessions whose browsers never came back."""
        expired = [each for each in await self.store.sessions() if now >= each.expires_at]
        for session in expired[:EXPIRED_AT_ONCE_MAX]:
            await self._end(session, why="expired")

    async def _is_code(self, account: Account, code: str) -> bool:
        secret = self._sealing.opened(account.sealed_secret or "", user=account.user)
        if secret is None:
            return False
        step = second_factor.step_of(code, secret, now=self._clock.now(), after=account.last_step)
        if step is not None:
            return await self.store.accept_step(account.user, step)
        return await self.store.use_recovery_code(account.user, second_factor.hash_of_code(code, user=account.user))

    def _check_address(self, address: str) -> None:
        if self._throttle.is_shut(address, now=self._clock.monotonic_seconds()):
            raise Refused("Too many failed tries from this address; wait five minutes.")

    async def _count_failure(self, account: Account | None, address: str, *, user: str, is_counted: bool) -> None:
        self._throttle.count(address, now=self._clock.monotonic_seconds())
        # Counted before it is told: while nothing can be told, tries must not be free.
        if account is not None and is_counted:
            failures = await self.store.count_failure(account.user)
            if failures >= FAILURES_MAX:
                minutes = LOCK_MINUTES[min(failures - FAILURES_MAX, len(LOCK_MINUTES) - 1)]
                until = self._clock.now() + timedelta(minutes=minutes)
                await self.store.change_account(account.user, locked_until=until)
        # An unknown name may be a password that was typed into the wrong field: it is not kept.
        await self._telling.tell(
            "sign_in_refused", actor=None, subject=user if account is not None else None, by="local"
        )

    # -- one's own account -------------------------------------------------------------------------------------------

    async def change_password(self, visitor: Visitor, *, old: str, new: str) -> None:
        """Change one's own password; every other session of the person ends. `Refused` says why not."""
        async with self._turn(visitor.user):
            await self._change_password(visitor, old=old, new=new)

    async def _change_password(self, visitor: Visitor, *, old: str, new: str) -> None:
        account = await self._own(visitor)
        if _is_locked(account, self._clock.now()):
            raise Refused("The account is locked for a while after several failed tries; try again later.")
        if not await self._passwords.is_right(old, account.password_hash):
            await self._count_failure(account, f"session {visitor.session}", user=account.user, is_counted=True)
            raise Refused("The present password is not right.")
        if new == old:
            raise Refused("The new password is the old one.")
        try:
            check_password(new, user=visitor.user)
        except WeakPassword as weak:
            raise Refused(str(weak)) from None
        hashed = await self._passwords.hashed(new)
        await self._telling.tell("password_changed", actor=visitor, subject=visitor.user)
        await self.store.change_account(
            visitor.user, password_hash=hashed, password_changed_at=self._clock.now(), must_change=False
        )
        await self.store.end_sessions_of(visitor.user, but=visitor.session)
        self._known.clear()

    async def set_up_second_factor(self, visitor: Visitor, *, secret: str, code: str) -> tuple[str, ...]:
        """Take a secret into use once a code of it was shown; the recovery codes, shown this once."""
        await self._own(visitor)
        if await self.must_prove_first(visitor):
            raise Refused("Prove again who you are before you set up a second factor.")
        step = second_factor.step_of(code, secret, now=self._clock.now(), after=None)
        if step is None:
            raise Refused("The code does not fit; look at the clock of the phone and type the newest code.")
        codes = second_factor.recovery_codes()
        await self._telling.tell("second_factor_changed", actor=visitor, subject=visitor.user)
        await self.store.put_recovery_codes(
            visitor.user, [second_factor.hash_of_code(each, user=visitor.user) for each in codes]
        )
        sealed = self._sealing.seal(secret, user=visitor.user)
        await self.store.change_account(visitor.user, sealed_secret=sealed, last_step=step)
        await self.store.end_sessions_of(visitor.user, but=visitor.session)
        self._known.clear()
        return codes

    async def must_prove_first(self, visitor: Visitor) -> bool:
        """Whether setting up a second factor asks for proof anew: to replace one, and when the sign-in is not fresh."""
        now = self._clock.now()
        if visitor.is_stepped_up(now):
            return False
        is_fresh = now - visitor.signed_in_at < timedelta(minutes=self.settings.step_up_minutes)
        return not is_fresh or (await self._own(visitor)).sealed_secret is not None

    def seal_for(self, user: str, text: str) -> str:
        """A text that passes through a browser and must come back unread and unchanged."""
        return self._sealing.seal(text, user=user)

    def unseal_for(self, user: str, sealed: str) -> str | None:
        """What was sealed for this user; None for anything else."""
        try:
            return self._sealing.opened(sealed, user=user)
        except ValueError:
            return None

    async def end_session(self, visitor: Visitor, session_id: str) -> None:
        """End a session of one's own, or, for an admin, anybody's; `CommandFailed` when there is no such."""
        found = next((each for each in await self.store.sessions() if each.id == session_id), None)
        if found is None or (found.user != visitor.user and not visitor.has("admin")):
            raise CommandFailed("there is no such session", action="Load the page again; it may have ended.")
        await self._telling.tell("session_ended", actor=visitor, subject=found.user, why="ended by a person")
        await self._drop(session_id)

    async def _own(self, visitor: Visitor) -> Account:
        account = await self.store.account(visitor.user)
        if account is None:
            raise Refused("You sign in at the district's provider; password and second factor are changed there.")
        return account

    async def _end(self, session: Session, *, why: str) -> None:
        await self._telling.tell("session_ended", actor=None, subject=session.user, why=why)
        await self._drop(session.id)

    async def _drop(self, session_id: str) -> None:
        await self.store.end_session(session_id)
        for secret_hash in [key for key, known in self._known.items() if known.session.id == session_id]:
            del self._known[secret_hash]
        self._complete.pop(session_id, None)

    # -- other people's accounts -------------------------------------------------------------------------------------

    async def invite(self, admin: Visitor | None, user: str) -> str:
        """Make an account for a person of the house, or give an existing one a new first password; that password."""
        if self.people.roles_of(user) is None:
            raise CommandFailed(
                f"{user[:100]} is no person of this house",
                action="Add the person to the identities file and to the bus first; roles are given there.",
            )
        has_account = await self.store.account(user) is not None
        if admin is not None and has_account and user == admin.user:
            raise CommandFailed(
                "nobody resets their own account: whoever finds an open session could take it over so",
                action="Change the password at your account, or ask another admin.",
            )
        if admin is not None and has_account and self._approves(user):
            raise CommandFailed(
                f"{user[:100]} approves plans, so no admin may take over that account from here",
                action="Whoever keeps the console's host resets it: python -m services.console.accounts reset NAME.",
                code="APV_NOT_AUTHORISED",
            )
        password = first_password()
        await self.put_first_password(user, password, actor=admin, must_change=True)
        return password

    def _approves(self, user: str) -> bool:
        """Whether a reset of this account would put approvals into the hands of whoever reads the new password."""
        return "approver" in (self.people.roles_of(user) or frozenset())

    async def put_first_password(self, user: str, password: str, *, actor: Visitor | None, must_change: bool) -> None:
        """Make the account with this password, or reset it: second factor and sessions are gone then."""
        async with self._turn(user):
            await self._put_first_password(user, password, actor=actor, must_change=must_change)

    async def _put_first_password(self, user: str, password: str, *, actor: Visitor | None, must_change: bool) -> None:
        now = self._clock.now()
        hashed = await self._passwords.hashed(password)
        known = await self.store.account(user)
        what = "account_created" if known is None else "account_changed"
        await self._telling.tell(what, actor=actor, subject=user)
        if known is None:
            account = Account(
                user=user, password_hash=hashed, sealed_secret=None, last_step=None, failures=0, locked_until=None,
                created_at=now, password_changed_at=now, signed_in_at=None, is_closed=False, must_change=must_change,
            )  # fmt: skip
            await self.store.add_account(account)
            return
        await self.store.change_account(
            user, password_hash=hashed, sealed_secret=None, last_step=None, failures=0, locked_until=None,
            password_changed_at=now, must_change=must_change,
        )  # fmt: skip
        await self.store.put_recovery_codes(user, ())
        await self.store.end_sessions_of(user)
        self._known.clear()

    async def set_closed(self, admin: Visitor, user: str, *, is_closed: bool) -> None:
        """Close an account, which ends its sessions, or open it again."""
        if user == admin.user:
            raise CommandFailed("nobody closes their own account", action="Ask another admin.")
        if await self.store.account(user) is None:
            raise CommandFailed(f"{user[:100]} has no account here", action="Load the page again.")
        async with self._turn(user):  # a sign-in under way ends before, so that its session ends too
            await self._telling.tell("account_disabled" if is_closed else "account_changed", actor=admin, subject=user)
            await self.store.change_account(user, is_closed=is_closed, failures=0, locked_until=None)
            if is_closed:
                await self.store.end_sessions_of(user)
                self._known.clear()


def _is_locked(account: Account | None, now: datetime) -> bool:
    return account is not None and account.locked_until is not None and now < account.locked_until


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _seen(session: Session, at: datetime) -> Session:
    values = {name: getattr(session, name) for name in Session.__slots__}
    return Session(**{**values, "last_seen_at": max(session.last_seen_at, at)})
