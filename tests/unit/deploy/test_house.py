"""What the composition's set-up makes: kept once made, and to each program its own part alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cli.embedded_setup import PEOPLE
from deploy.postgres.roles import DATABASES, all_roles
from deploy.setup.certificates import RENEW_BEFORE_DAYS, is_good, make_authority, make_certificate
from deploy.setup.house import Wanted, make
from deploy.setup.places import NODES, SERVICES, House
from shared.asking.profiles import load_profile
from shared.bus.topology import HOUSE_USERS

NOW = datetime(2026, 8, 1, tzinfo=UTC)
WANTED = Wanted(environment="staging", connections="connections: {}\n")
PRIVATE = 0o600


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("house"))
    make(made, WANTED, now=NOW)
    return made


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def holders(house: House, text: str) -> set[str]:
    """The programs whose folders hold this text somewhere."""
    return {name.split("/", 1)[0] for name, content in files(house.root).items() if text.strip() in content}


def test_made_again_everything_stays_as_it_is(house: House) -> None:
    before = files(house.root)
    make(house, WANTED, now=NOW + timedelta(days=1))
    assert files(house.root) == before


@pytest.mark.parametrize("service", SERVICES)
def test_a_password_of_the_bus_is_its_services_alone(house: House, service: str) -> None:
    password = (house.of(service) / "bus.password").read_text()
    assert holders(house, password) == {"all", service, *NODES}


def test_the_commitment_key_is_the_differs_alone(house: House) -> None:
    assert holders(house, (house.of("differ") / "commitment.key").read_text()) == {"all", "differ"}


def test_the_key_of_the_log_is_the_auditors_alone(house: House) -> None:
    assert holders(house, (house.of("auditor") / "audit-signing.pem").read_text()) == {"all", "auditor"}


def test_the_authority_signs_for_the_set_up_alone(house: House) -> None:
    assert holders(house, (house.all / "certificates" / "authority.key").read_text()) == {"all"}


@pytest.mark.parametrize("person", [one for one in PEOPLE if one.signs], ids=lambda one: one.profile)
def test_a_persons_key_is_in_the_console_and_with_the_people_alone(house: House, person: object) -> None:
    profile = getattr(person, "profile", "")
    key = (house.of("people") / "keys" / f"{profile}.pem").read_text()
    assert holders(house, key) == {"all", "console", "people"}


@pytest.mark.parametrize("database", DATABASES, ids=lambda one: one.service)
def test_an_owners_password_is_nobodys_who_runs_on(house: House, database: object) -> None:
    owner, service = getattr(database, "owner", ""), getattr(database, "service", "")
    password = (house.of("databases") / "roles" / owner).read_text()
    # A backup reads every table, and is run to its end.
    assert holders(house, password) == {"all", "backup", "databases", f"{service}-owner"}


def test_each_server_encrypts_its_store_under_a_key_of_its_own(house: House) -> None:
    keys = {(house.all / "bus" / f"store-{node}").read_text().strip() for node in NODES}
    assert len(keys) == len(NODES)
    for node in NODES:
        config = (house.of(node) / "nats-server.conf").read_text()
        assert (house.all / "bus" / f"store-{node}").read_text().strip() in config
        assert config.count("tls {") == 2, "for clients and for routes"
        assert all(f"{other}:6222" in config for other in NODES)


def test_secrets_can_be_read_by_their_program_alone(house: House) -> None:
    for name in ("extractor", "auditor", "people", "nats1", "all"):
        for path in house.of(name).rglob("*"):
            if path.is_file():
                assert path.stat().st_mode & 0o777 == PRIVATE, path


def test_every_user_and_role_has_a_password_of_its_own(house: House) -> None:
    bus = {(house.all / "bus" / user).read_text() for user in HOUSE_USERS}
    roles = {(house.all / "databases" / "roles" / role).read_text() for role in all_roles()}
    assert len(bus) == len(HOUSE_USERS) and len(roles) == len(all_roles())


def test_profiles_lead_to_the_encrypted_bus_and_hold_no_secret(house: House) -> None:
    profile = load_profile(house.of("people"), "operator")
    assert profile.nats_url.count("tls://") == len(NODES) and profile.nats_ca is not None
    password = (house.of("people") / "passwords" / "operator").read_text().strip()
    assert password not in profile.model_dump_json()


def test_a_certificate_that_ends_soon_is_made_anew_and_the_authority_stays(tmp_path: Path) -> None:
    made = House(tmp_path)
    make(made, WANTED, now=NOW)
    before = files(tmp_path)
    told: list[str] = []
    make(made, WANTED, now=NOW + timedelta(days=397 - RENEW_BEFORE_DAYS + 1), say=told.append)
    after = files(tmp_path)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {
        *(f"all/certificates/{name}.{kind}" for name in (*NODES, "postgres") for kind in ("pem", "key")),
        *(f"{name}/server.{kind}" for name in (*NODES, "postgres") for kind in ("pem", "key")),
        *(f"monitor/certificates/{name}.pem" for name in (*NODES, "postgres")),
    }
    assert len(told) == len(NODES) + 1


def test_a_certificate_is_good_for_its_names_and_its_authority_only() -> None:
    authority, stranger = make_authority("house", now=NOW), make_authority("stranger", now=NOW)
    pair = make_certificate(authority, ["nats1", "localhost"], now=NOW)
    assert is_good(pair.certificate, authority, ["nats1"], now=NOW)
    assert not is_good(pair.certificate, authority, ["nats2"], now=NOW)
    assert not is_good(pair.certificate, stranger, ["nats1"], now=NOW)
    shown = x509.load_pem_x509_certificate(pair.certificate.encode())
    assert shown.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
