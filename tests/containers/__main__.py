"""`python -m tests.containers`: the composition on a real Docker engine, from a fresh clone to `down`, step by step.

Needs an engine that `docker` reaches and, for killing a process, the right to do so. The checkout is a clone of what is
committed; `--working-tree` takes the files as they are. It says of what images it was played with, because base images
can be stand-ins under the official names. Ends with 0 when everything held.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from cli import demo_checks
from deploy.images.contents import IMAGES
from deploy.setup.places import NODES, SERVICES
from tests.containers import restoring
from tests.containers.composition import PYTHON, Composition, DidNotHold
from tests.containers.watching import Watching

ROOT = Path(__file__).resolve().parents[2]
STAFF = 400
UPDATES = 250
RATE_PER_SECOND = 5
"""So that an apply lasts long enough to be disturbed."""
CUT_SECONDS = 40
BACKUP = "/backup/tried"
HAND_OVER_SECONDS_MAX = 10
"""For the changes that are under way, at the vendor's slow rate; more than that would be work taken up anew."""
SCHEDULE_SECONDS_MAX = 330
SCHEDULED = "titanhst-staff-scheduled"
DIFFERS, EXTRACTORS = 3, 2
SCRAPED_SECONDS_MAX = 90
"""For names to be asked anew, and each target to be scraped once."""
RUN_SECONDS_MAX = 420
EXIT_KILLED = 128 + 9
FOREIGN = {
    "auditor": ("polars", "pymssql", "httpx", "fastapi", "typer"),
    "differ": ("pymssql", "google.auth", "asyncssh", "fastapi"),
    "applier": ("polars", "fastapi", "alembic"),
    "extractor": ("fastapi", "alembic", "typer"),
    "console": ("pymssql", "asyncssh", "google.auth"),
    "monitor": ("polars", "pymssql", "fastapi"),
    "tools": ("polars", "fastapi", "pymssql"),
    "backup": ("polars", "fastapi", "pymssql", "typer"),
    "simulators": ("polars", "fastapi", "psycopg"),
}
"""Modules that must not be importable in an image, because another program needs them."""
UNDER_OUR_USER = (*SERVICES, *NODES)


class Trial:
    """The steps."""

    def __init__(self, house: Composition) -> None:
        self._house = house
        self._watching = Watching(house)
        self._number = 0
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        self._number += 1
        self._began = time.monotonic()
        say(f"\n{self._number}. {text}")

    def held(self, text: str) -> None:
        say(f"   held: {text} ({time.monotonic() - self._began:.1f} s)")

    def play(self) -> None:
        house = self._house
        self.step("Build every image from the clone")
        house.compose("--profile", "demo", "--profile", "tools", "build")
        self.held(", ".join(self._sizes()))
        self._images()
        self.step("`docker compose up --wait` in the clean checkout, nothing done before")
        house.up()
        self.held(f"healthy: {', '.join(sorted(self._healthy()))}")
        self._hardened()
        self._secrets_apart()
        self._watched()
        self.step(f"`down`, then up with the profile `demo`, `--scale differ={DIFFERS}` and `extractor={EXTRACTORS}`")
        # A service reads its connections when it starts; the sample district's are others.
        ends = self._stopped()
        house.compose("down")
        say(f"   stopped first: {ends}")
        house.up(*SCALE, demo=True)
        differs = [each for each in house.containers("differ") if each["State"]["Health"]["Status"] == "healthy"]
        expect(len(differs) == DIFFERS, f"{len(differs)} differs are healthy, should be {DIFFERS}")
        self._scraped({"differ": DIFFERS, "extractor": EXTRACTORS})
        self.held(
            "three differs, a sample district and a simulated vendor are healthy beside the rest, all are scraped"
        )
        run = self._approved_run()
        self._disturbed(run)
        self._nothing_lost(run)
        self._scheduled()
        self._none_dead()
        self._renewed()
        self._proven()
        self._backed_up()
        self._down_and_up()
        self._restored(run)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _images(self) -> None:
        self.step("No image holds another program's dependencies")
        for service, modules in FOREIGN.items():
            script = (
                "import importlib.util as u, sys\n"
                "def there(name):\n"
                "    try: return u.find_spec(name) is not None\n"
                "    except ModuleNotFoundError: return False\n"
                f"print(' '.join(name for name in {modules!r} if there(name)))"
            )
            found = self._house.docker(
                "run", "--rm", "--network", "none", "--entrypoint", PYTHON, f"aether/{service}:local", "-c", script
            ).strip()
            expect(not found, f"the image {service} can import {found}")
        self.held("none of them can be imported: " + "; ".join(f"{one}: {', '.join(FOREIGN[one])}" for one in FOREIGN))

    def _hardened(self) -> None:
        self.step("Who runs how")
        for each in self._house.containers():
            name, host = each["Config"]["Labels"]["com.docker.compose.service"], each["HostConfig"]
            expect(host["ReadonlyRootfs"], f"{name} can write into its image")
            expect(host["CapDrop"] == ["ALL"] and not host["CapAdd"], f"{name} has capabilities")
            expect("no-new-privileges:true" in (host["SecurityOpt"] or []), f"{name} may gain privileges")
            user = each["Config"]["User"]
            expect(user not in ("", "0", "root"), f"{name} runs as {user or 'root'}")
            for bindings in (host["PortBindings"] or {}).values():
                expect(
                    all(one["HostIp"] == "127.0.0.1" for one in bindings), f"{name} is open to the world: {bindings}"
                )
        status = self._house.compose("exec", "-T", "extractor", PYTHON, "-c", "print(open('/proc/self/status').read())")
        lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        expect(int(lines["CapEff"], 16) == 0 and int(lines["CapBnd"], 16) == 0, f"capabilities: {lines['CapEff']}")
        self.held("every container: not root, read-only, no capability, no new privileges, ports on 127.0.0.1 only")

    def _secrets_apart(self) -> None:
        self.step("What a service finds of secrets")
        found = {}
        for service in SERVICES:
            script = "import os; print(' '.join(sorted(n for _, _, f in os.walk('/run/aether') for n in f)))"
            found[service] = self._house.compose("exec", "-T", service, PYTHON, "-c", script).split()
        expect("commitment.key" in found["differ"], "the differ has no commitment key")
        for service in SERVICES:
            others = {"commitment.key": "differ", "audit-signing.pem": "auditor", "session.key": "console"}
            wrong = [name for name, owner in others.items() if name in found[service] and owner != service]
            expect(not wrong, f"{service} finds {wrong}")
        self.held("; ".join(f"{service}: {len(found[service])} files" for service in SERVICES))

    def _watched(self) -> None:
        watching = self._watching
        self.step("Prometheus, Alertmanager and Grafana")
        self._house.until("each rule was evaluated", watching.are_rules_evaluated, seconds_max=SCRAPED_SECONDS_MAX)
        self.held(f"{watching.rules()} rules are the checkout's, each was evaluated, none has an error")
        self._scraped({})
        self.held(f"every target answers: {watching.targets()}")
        release = tomllib.loads((self._house.checkout / "pyproject.toml").read_text())["project"]["version"]
        expect(watching.releases() == {release}, f"programs say they are of {watching.releases()}, not of {release}")
        told = self._house.compose("run", "--rm", "-T", "tools", "aether", "--version").split()
        expect(told[-1:] == [release], f"the command line says it is of {told}")
        self.held(f"every program and the command line are of release {release}")
        self._house.until("Alertmanager has the heartbeat", watching.has_heartbeat_arrived, seconds_max=60)
        self.held(f"Alertmanager has the heartbeat; besides, {', '.join(watching.firing()) or 'nothing'} fires")
        self.held(
            f"{watching.dashboards()} files of Grafana's are mounted as they are, and its source of data answers it"
        )

    def _scraped(self, replicas: dict[str, int]) -> None:
        watching = self._watching
        try:
            self._house.until(
                f"every program is scraped, of {replicas or 'each'} so many",
                lambda: watching.are_targets_up(replicas),
                seconds_max=SCRAPED_SECONDS_MAX,
                pause=2,
            )
        except DidNotHold as failed:
            raise DidNotHold(f"{failed}; up: {watching.targets()}; down: {watching.down()}") from None

    def _approved_run(self) -> str:
        house = self._house
        self.step(f"A run by `docker compose run tools aether run`, of {STAFF} people, approved by two")
        self.truth = house.read("/district/truth.json")
        self.before = house.read("/_sim/state")["contacts"]
        asked = house.aether("run", "titanhst-staff", "--apply", codes=(0, 2, 4))
        run, plan = str(asked["run"]["run"]), asked["run"]["plan"]
        expect(asked["run"]["status"] == "held", f"the run is {asked['run']['status']}, should be held")
        for person in ("approver", "approver2"):
            house.aether(
                "approve", run, "--digest", plan["plan_digest"], "--override", "--reason", "a drill",
                profile=person, codes=(0, 2, 4),
            )  # fmt: skip
        self.held(f"run {run}, {sum(plan['changes_by_class'].values())} changes")
        return run

    def _disturbed(self, run: str) -> None:
        house = self._house
        planned = sum(self.truth["counts"].values())
        self.step("The applier is stopped in the middle of the apply")
        self._until_effects(planned // 8)
        container, began = house.container("applier"), time.monotonic()
        house.compose("stop", "applier")
        took, done = time.monotonic() - began, house.effects()
        state = json.loads(house.docker("inspect", container["Id"]))[0]["State"]
        expect(state["ExitCode"] == 0 and not state["OOMKilled"], f"it ended with {state['ExitCode']}")
        expect(took < HAND_OVER_SECONDS_MAX, f"it took {took:.1f} s to hand over")
        expect(planned // 8 <= done < planned, f"{done} of {planned} were done")
        time.sleep(2)
        expect(house.effects() == done, "something was written after it had ended")
        self.held(f"exit 0 after {took:.1f} s, {done} of {planned} changes made, none after it had ended")
        self.step("Started again, it goes on; then its process is killed (SIGKILL)")
        house.up("--no-deps", "applier")
        idle = house.until("it goes on", lambda: house.effects() > done, seconds_max=60, pause=0.2)
        say(f"   it went on {idle:.1f} s after it was healthy again")
        self._until_effects(done + planned // 8)
        before = house.container("applier")["RestartCount"]
        house.kill("applier")
        house.until("the applier is back", lambda: self._is_back("applier", before), seconds_max=60)
        at = house.effects()
        self._until_effects(at + planned // 10)
        self.held(f"killed with {at} changes made when it was back, brought there by the engine; it went on")
        node = house.leader("LEDGER")
        self.step(f"{node}, which leads the ledger, is cut off from the network for {CUT_SECONDS} s")
        (cut,) = house.containers(node)
        at = house.effects()
        expect(at < planned, "the apply is over too early to be disturbed; raise STAFF")
        house.docker("network", "disconnect", house.network("bus"), cut["Id"])
        time.sleep(CUT_SECONDS)
        meanwhile = house.effects()
        house.docker("network", "connect", "--alias", node, house.network("bus"), cut["Id"])
        expect(meanwhile > at, "nothing was written while one of three servers was away")
        house.until(f"{node} is healthy again", lambda: self._status(node) == "healthy", seconds_max=90)
        self.held(f"{meanwhile - at} changes were made meanwhile by the other two; it is back and healthy")

    def _nothing_lost(self, run: str) -> None:
        house = self._house
        self.step("The run ends, and the vendor's own journal is the judge")
        house.until("the run has ended", lambda: self._run_status(run) in ENDED, seconds_max=RUN_SECONDS_MAX, pause=2)
        view = house.aether("show", run, codes=(0, 3))["run"]
        expect(view["status"] == "succeeded", f"the run is {view['status']}: {view.get('counts')}")
        counts = view["counts"]
        expect(counts["planned"] == sum(self.truth["counts"].values()), f"planned {counts['planned']}")
        expect(counts["applied"] + counts["noop_already"] == counts["planned"], f"{counts}")
        effects = house.read("/_sim/effects")
        faults = demo_checks.effects_differ(effects["effects"], dropped=effects["dropped"], truth=self.truth)
        faults += demo_checks.state_differs(self.before, house.read("/_sim/state")["contacts"], truth=self.truth)
        expect(not faults, "\n".join(faults))
        self.held(f"{counts}; every change exactly once, every contact as it should be, nothing else touched")

    def _scheduled(self) -> None:
        self.step("A run by schedule")

        def found() -> list[dict[str, Any]]:
            runs = self._house.aether("runs", "--connector", SCHEDULED)["runs"]
            return [each for each in runs if each["status"] in ENDED]

        self._house.until(
            "a run by schedule has ended", lambda: bool(found()), seconds_max=SCHEDULE_SECONDS_MAX, pause=5
        )
        one = found()[0]
        self.held(
            f"{one['run']} of {one['connector']}, {one['mode']}, asked for by {one['requester']}: {one['status']}"
        )

    def _none_dead(self) -> None:
        self.step("No message was given up, from the first tick of a schedule to the last change")
        checks = {one["name"]: one for one in self._house.aether("doctor", codes=(0, 1))["checks"]}
        for name in ("bus", "audit", "dead letters", "quarantined connections"):
            expect(checks[name]["state"] == "ok", f"{name}: {checks[name]['found']}")
        self.held(f"dead letters: {checks['dead letters']['found']}; {checks['audit']['found']}")

    def _renewed(self) -> None:
        house = self._house
        self.step("A password of the bus and one of a database are renewed while everything runs")
        before = self._passwords()
        renewed = ("bus/applier", "bus/differ", "databases/roles/aether_differ")
        house.compose("run", "--rm", "-T", "setup", "deploy.setup.renew", *renewed)
        house.up(*SCALE, demo=True)
        for node in NODES:
            house.compose("exec", "-T", node, "nats-server", "--signal", "reload=1")
        after = self._passwords()
        expect(all(after[name] != before[name] for name in before), "a password is still the old one")
        restarts = {name: house.containers(name)[0]["RestartCount"] for name in ("differ", "applier")}
        asked = house.aether("run", "titanhst-staff", "--dry-run", codes=(0, 2, 4))
        expect(asked["run"]["status"] in ("planned", "no_changes"), f"a dry-run is {asked['run']['status']}")
        expect(
            restarts == {name: house.containers(name)[0]["RestartCount"] for name in restarts},
            "a program was started anew for it",
        )
        expect(set(self._healthy()) >= set(SERVICES), "a program is not healthy")
        self.held(f"{', '.join(renewed)}; no program was started anew, and a dry-run ended as {asked['run']['status']}")

    def _passwords(self) -> dict[str, str]:
        """What two programs have for passwords, by their hashes."""
        script = (
            "import hashlib, pathlib; found = sorted(pathlib.Path('/run/aether').glob('*.password')); "
            "print(hashlib.sha256(b''.join(each.read_bytes() for each in found)).hexdigest())"
        )
        return {
            name: self._house.compose("exec", "-T", name, PYTHON, "-c", script).strip()
            for name in ("differ", "applier")
        }

    def _proven(self) -> None:
        self.step("The audit log, verified by the command line")
        report = self._house.aether("audit", "verify", profile="auditor")
        self.held(json.dumps({key: value for key, value in report.items() if isinstance(value, int | bool | str)}))

    def _backed_up(self) -> None:
        house = self._house
        self.step("A backup of streams and databases, and its verification")
        for verb in (("make", "--to"), ("verify", "--from")):
            command = ("--profile", "tools", "run", "--rm", "-T", "backup", "deploy.backup", *verb, BACKUP)
            told = house.compose(*command, "--json")
        facts = json.loads(told)
        expect(facts["exit_code"] == 0, told)
        self.held(f"{len(facts['streams'])} streams, {len(facts['databases'])} databases, {facts['size']:,} bytes")

    def _down_and_up(self) -> None:
        house = self._house
        self.step("`down` and `up --wait` again: what was, still is")
        say(f"   stopped first: {self._stopped()}")
        house.compose("--profile", "demo", "--profile", "tools", "down")
        house.up(demo=True)
        report = house.aether("audit", "verify", profile="auditor")
        self.held(f"healthy again, the log is valid: {report.get('is_valid', report)}")

    def _restored(self, run: str) -> None:
        house, secrets = self._house, self._house.checkout.parent / "house.tar"
        self.step("Data and secrets are lost, and come back from the backup and the kept file")
        before = house.aether("audit", "verify", profile="auditor")
        restoring.keep_secrets(house, secrets)
        restoring.lose_everything(house)
        report = restoring.bring_back(house, secrets=secrets, backup=BACKUP)
        expect(report["is_valid"] and report["is_proven"], f"{report}")
        expect(0 < report["entries"] <= before["entries"], f"{report['entries']} entries, {before['entries']} before")
        house.up(demo=True)
        expect(self._run_status(run) == "succeeded", f"the run of before is {self._run_status(run)}")
        self.held(f"the log is proven up to entry {report['entries']} of {before['entries']}, all is healthy again")

    # -- means -------------------------------------------------------------------------------------------------------

    def _stopped(self) -> str:
        """Stop everything within its own grace period; what of it did not end by itself is a failure."""
        began = time.monotonic()
        self._house.compose("--profile", "demo", "stop")
        killed = [
            f"{each['Config']['Labels']['com.docker.compose.service']} ({each['State']['ExitCode']})"
            for each in self._house.containers()
            if each["State"]["ExitCode"] == EXIT_KILLED
        ]
        expect(not killed, f"had to be killed at the end of the grace period: {', '.join(killed)}")
        return f"all ended by themselves within {time.monotonic() - began:.1f} s"

    def _sizes(self) -> list[str]:
        text = self._house.docker("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}")
        sizes = dict(line.split(" ", 1) for line in text.splitlines())
        return [f"{service} {sizes.get(f'aether/{service}:local', '?')}" for service in IMAGES]

    def _healthy(self) -> list[str]:
        found = []
        for each in self._house.containers():
            name, state = each["Config"]["Labels"]["com.docker.compose.service"], each["State"]
            if "Health" in state:
                expect(state["Health"]["Status"] == "healthy", f"{name} is {state['Health']['Status']}")
                found.append(name)
            else:
                how = f"{name} is {state['Status']} ({state['ExitCode']}) and has no health check"
                expect(state["Status"] == "exited" and state["ExitCode"] == 0, how)
        return found

    def _status(self, service: str) -> str:
        return str(self._house.container(service)["State"]["Health"]["Status"])

    def _is_back(self, service: str, restarts: int) -> bool:
        found = self._house.container(service)
        return bool(found["RestartCount"] > restarts and found["State"]["Health"]["Status"] == "healthy")

    def _run_status(self, run: str) -> str:
        """How the run stands; nobody answers for some seconds while the servers find each other again."""
        try:
            return self._told_status(run)
        except DidNotHold:
            return "nobody answers"

    def _told_status(self, run: str) -> str:
        return str(self._house.aether("show", run, codes=(0, 2, 3, 4))["run"]["status"])

    def _until_effects(self, number: int) -> None:
        house = self._house
        house.until(f"{number} changes are made", lambda: house.effects() >= number, seconds_max=120, pause=0.3)


SCALE = ("--scale", f"differ={DIFFERS}", "--scale", f"extractor={EXTRACTORS}")
ENDED = ("succeeded", "partial", "failed", "planned", "no_changes", "blocked", "cancelled", "stale", "expired")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def expect(fact: bool, otherwise: str) -> None:
    if not fact:
        raise DidNotHold(otherwise)


def check_out(folder: Path, *, is_working_tree: bool) -> None:
    """A fresh clone of what is committed, or a copy of the files as they are."""
    if not is_working_tree:
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
        return
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def main() -> int:
    """Play every step; 0 when all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers", description=__doc__)
    parser.add_argument("--working-tree", action="store_true", help="the files as they are, not as they are committed")
    parser.add_argument("--keep", action="store_true", help="leave everything up at the end")
    options = parser.parse_args()
    if shutil.which("docker") is None:
        sys.stderr.write("there is no docker here; the containers are not tried\n")
        return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aether-containers-", ignore_cleanup_errors=True) as folder:
        checkout = Path(folder) / "checkout"
        checkout.mkdir()
        check_out(checkout, is_working_tree=options.working_tree)
        house = Composition(
            checkout,
            say=say,
            settings={
                "AETHER_DEMO_STAFF": str(STAFF),
                "AETHER_DEMO_UPDATES": str(UPDATES),
                "AETHER_DEMO_RATE_PER_SECOND": str(RATE_PER_SECOND),
            },
        )
        everything = ("--profile", "demo", "--profile", "tools")
        try:
            say(f"engine: {house.docker('version', '--format', '{{.Server.Version}}').strip()}; checkout: {checkout}")
            house.compose(*everything, "down", "--volumes", "--remove-orphans")
            trial = Trial(house)
            trial.play()
        except DidNotHold as failed:
            sys.stderr.write(f"\nDID NOT HOLD: {failed}\n")
            sys.stderr.write(house.compose(*everything, "logs", "--tail", "10", check=False)[-9_000:])
            return 1
        finally:
            if not options.keep:
                house.compose(*everything, "down", "--volumes", "--timeout", "40", check=False)
    say(f"\nall held, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
