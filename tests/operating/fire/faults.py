"""The faults by which alerts are fired, in the order in which they are tried.

The order matters: what needs changes that nobody wrote yet comes before what writes them, and what takes long to show
begins early and is left.
"""

from __future__ import annotations

from typing import Final

from cli.stack import BUS
from tests.operating.fire import of_bus, of_programs, of_record, of_runs
from tests.operating.fire.fault import Fault, is_killed
from tests.operating.fire.house import DUE

FAULTS: Final = (
    Fault(
        "wrong from the beginning: certificates and a token that end, an old secret, a paused schedule, bad rows",
        (
            "Heartbeat",
            "CertificateEnds warning",
            "CertificateEnds critical",
            "CredentialOld",
            "CredentialEnds",
            "SchedulePaused",
            "ScheduleSkips",
            "QuarantineOld",
        ),
        of_runs.from_the_beginning,
        is_left=True,
        seconds_max=1300,
    ),
    Fault(
        "one program is of another release",
        ("ReleasesDiffer",),
        of_programs.releases_differ,
        is_left=True,
        seconds_max=300,
    ),
    Fault(
        "a run that nobody decides upon, and a channel that nobody answers",
        ("RunWaitsForPerson", "NoticesFail"),
        of_runs.nobody_decides,
        is_left=True,
        seconds_max=560,
    ),
    Fault("a source is gone for two runs", ("RunsEndBadly",), of_runs.source_is_gone),
    Fault("messages that nobody understands", ("DeadLetters",), of_bus.messages_nobody_understands),
    Fault("an approval is forged", ("AlarmRaised",), of_runs.approval_is_forged),
    Fault(
        "the vendor refuses the credential",
        ("ConnectionQuarantined", "RunPaused"),
        of_runs.credential_is_refused,
        seconds_max=180,
    ),
    Fault(
        "the applier is killed at work",
        ("ServiceDown applier", "ReplicaDown applier", "UnknownEffects"),
        of_runs.applier_dies_at_work,
        seconds_max=180,
    ),
    Fault(
        "the one success of a paused schedule grows old",
        ("ConnectorStale warning", "ConnectorStale critical"),
        of_runs.success_grows_old,
        is_left=True,
        seconds_max=840,
    ),
    Fault(
        "a stream is nearly full",
        ("StreamFull warning", "StreamFull critical"),
        of_bus.stream_is_nearly_full,
    ),
    Fault("rows that cannot be mapped", (f"QuarantineGrows {DUE}",), of_runs.rows_cannot_be_mapped),
    Fault("a notice is given up", ("NoticesLost answering",), of_record.notice_is_given_up, seconds_max=120),
    Fault("a client asks and does not read", ("SlowClients",), of_bus.client_does_not_read, seconds_max=120),
    Fault("the console has nearly no files left", ("FilesExhausted",), of_programs.files_run_out),
    Fault(
        "the console's database is held",
        ("ConsoleErrors critical",),
        of_programs.pages_fail,
        seconds_max=120,
        later=("ConsoleErrors warning",),
    ),
    Fault(
        "the console's database is held again and again",
        ("ConsoleSlow critical",),
        of_programs.pages_are_slow,
        seconds_max=120,
        later=("ConsoleSlow warning",),
    ),
    Fault(
        "a program dies again and again",
        ("ProgramRestarts console",),
        of_programs.program_dies_again_and_again,
    ),
    Fault(
        "the extractor gets hardly any processor",
        ("RunRequestsSlow critical",),
        of_programs.requests_are_slow,
        seconds_max=120,
        later=("RunRequestsSlow warning",),
    ),
    Fault("the auditor's database is held", ("AuditStopped",), of_record.log_is_locked, seconds_max=120),
    Fault("the auditor gets hardly any processor", ("AuditBehind",), of_record.log_is_behind, seconds_max=180),
    Fault("checkpoints are refused", ("CheckpointsMissing",), of_record.log_is_not_signed, seconds_max=240),
    Fault(
        "a disk fills",
        ("DiskFills spill", "DiskLow warning spill", "DiskLow critical spill"),
        of_programs.disk_fills,
        seconds_max=90,
    ),
    Fault("the monitor is away", ("MonitorBlind", "ServiceDown monitor"), is_killed("monitor")),
    Fault(
        "the extractor may store no run, and a time of a schedule passes",
        ("RunMissing", "UnauthorisedPublish extractor", "RunRequestsFail critical"),
        of_runs.rights_are_taken_away,
        seconds_max=480,
        later=("RunRequestsFail warning",),
    ),
    Fault("a server of three is cut off", ("StreamReplicasMissing",), of_bus.server_is_cut_off, seconds_max=120),
    Fault("the bus is away", ("BusDown", "BusServerDown"), is_killed(BUS)),
    Fault(
        "a run without a differ",
        ("ServiceDown differ", "ConsumerStuck", "RunStuck"),
        of_runs.run_without_a_differ,
        seconds_max=560,
    ),
)
