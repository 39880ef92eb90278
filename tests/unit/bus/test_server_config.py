"""The server's configuration holds what the table says and nothing that a name could smuggle in."""

from pathlib import Path

import pytest

from shared.bus.server_config import Cluster, Person, render_server_config
from shared.bus.topology import HOUSE_USERS, REQUESTS

PASSWORDS = {user: f"synthetic-password-of-{user}" for user in HOUSE_USERS}
ANN = Person("ann", frozenset({"approver"}), "synthetic-password-of-ann")


def render(passwords: dict[str, str] = PASSWORDS, people: tuple[Person, ...] = (ANN,)) -> str:
    return render_server_config(passwords=passwords, people=people, store_dir=Path("/data/bus"), environment="staging")


def test_identity_of_askers_is_shared_and_disk_is_flushed() -> None:
    text = render()
    # Of every service that answers people, the identity of who asks reaches the service.
    assert text.count("share: true") == len(REQUESTS)
    assert "sync_interval: always" in text
    assert "system_account: SYS" in text
    assert "no_auth_user" not in text


def test_person_without_roles_is_denied_everything_rather_than_allowed() -> None:
    text = render(people=(Person("bob", frozenset(), "synthetic-password-of-bob"),))
    [line] = [line for line in text.splitlines() if '"bob"' in line]
    assert 'publish: { deny: [">"] }' in line


def test_names_and_passwords_cannot_leave_their_quotes() -> None:
    text = render(people=(Person('eve", permissions: { publish: ">', frozenset(), 'synthetic"}pass\\word"{'),))
    [line] = [line for line in text.splitlines() if 'user: "eve' in line]
    assert 'user: "eve\\", permissions: { publish: \\">"' in line
    assert 'password: "synthetic\\"}pass\\\\word\\"{"' in line
    with pytest.raises(ValueError, match="printable ASCII"):
        render(people=(Person("eve\n", frozenset(), "synthetic-password-of-eve"),))


def test_missing_short_and_double_users_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="applier"):
        render({user: text for user, text in PASSWORDS.items() if user != "applier"})
    with pytest.raises(ValueError, match="ann has 5 characters, at least 16"):
        render(people=(Person("ann", frozenset(), "short"),))
    with pytest.raises(ValueError, match=r"unique.*ann"):
        render(people=(ANN, ANN))
    with pytest.raises(ValueError, match=r"unique.*differ"):
        render(people=(Person("differ", frozenset(), "synthetic-password"),))


def test_password_is_not_in_the_text_of_a_person() -> None:
    assert ANN.password not in repr(ANN)


def cluster(password: str) -> Cluster:
    return Cluster(name="aether", port=6222, routes=("10.0.0.2:6222", "10.0.0.3:6222"), password=password)


def test_servers_of_a_cluster_admit_only_who_knows_their_password() -> None:
    password = "synthetic-password-of-routes"
    text = render_server_config(
        passwords=PASSWORDS,
        people=(),
        store_dir=Path("/data/bus"),
        environment="staging",
        server_name="a",
        cluster=cluster(password),
    )
    assert f'authorization {{ user: "route", password: "{password}" }}' in text
    for address in ("10.0.0.2:6222", "10.0.0.3:6222"):
        assert f'"nats-route://route:{password}@{address}"' in text
    assert "sync_interval: always" in text
    assert "cluster {" not in render()


@pytest.mark.parametrize("password", ["short", "with@sign-and-enough-signs", 'quo"te-and-enough-signs'])
def test_password_of_a_cluster_must_fit_into_an_address(password: str) -> None:
    with pytest.raises(ValueError, match="at least 16 letters, digits"):
        render_server_config(
            passwords=PASSWORDS,
            people=(),
            store_dir=Path("/data/bus"),
            environment="staging",
            cluster=cluster(password),
        )


def test_password_of_a_cluster_is_not_shown() -> None:
    assert "synthetic" not in repr(cluster("synthetic-password-of-routes"))
