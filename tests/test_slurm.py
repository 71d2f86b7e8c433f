"""A sweep on a Slurm cluster of one node gives the records of the local engine, though jobs are killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from qalign_dt.runs.engines import SlurmEngine, make_engine
from qalign_dt.runs.sweep import cancel_sweep, run_sweep, sweep_status
from qalign_dt.runs.sweep_file import read_sweep

MISSING = [
    name
    for name in ("munged", "slurmctld", "slurmd", "sbatch")
    if not shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
]
pytestmark = [
    pytest.mark.skipif(
        bool(MISSING), reason=f"needs {', '.join(MISSING)}; on Debian: apt-get install slurm-wlm munge"
    ),
    pytest.mark.skipif(
        hasattr(os, "getuid") and os.getuid() != 0, reason="Slurm's daemons are started as root"
    ),
]

CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={top}/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={top}/state
SlurmdSpoolDir={top}/spool
SlurmctldPidFile={top}/slurmctld.pid
SlurmdPidFile={top}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
SlurmdTimeout=5
SchedulerParameters=sched_min_interval=100000
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes=n1 Default=YES MaxTime=INFINITE State=UP
"""

# A notebook that counts slowly and stores its state, so that an interrupted run can continue.
CELLS = [
    'dataset = "toy"\nmethod = "count"\nseeds = [0]\nsteps = 200\nresults = ""',
    """import time
from pathlib import Path
from qalign_dt.core import atomic_write
from qalign_dt.runs.record import make_record, now, write_record
for seed in seeds:
    state = Path(results)/"states"/f"{dataset}-{seed}.txt"
    done, total = map(int, state.read_text().split()) if state.exists() else (0, 0)
    print(f"seed {seed} begins at {done}")
    while done < steps:
        time.sleep(0.05)
        done, total = done + 1, total + (seed + 1)*done
        with atomic_write(state) as part:
            part.write_text(f"{done} {total}")
    record = make_record("toy", dataset, method, seed, {"steps": steps}, data_source="toy", data_hash="",
                         smoke=True, started=now(), seconds=0.0, steps=done, episodes=[],
                         metrics={"score": total}, weights_sha256="")
    write_record(record, Path(results))""",
]
SWEEP = """notebook: toy.ipynb
grid: {{seeds: 0-2}}
results: {folder}/out
resources: {{cpus: 2, minutes: 60}}
slurm: {{partition: main}}
"""

# Follows a sweep on Slurm until it is killed.
LOOP = """
import sys
from qalign_dt.runs.engines import make_engine
from qalign_dt.runs.sweep import follow_sweep
from qalign_dt.runs.sweep_file import read_sweep
sweep = read_sweep(sys.argv[1])
follow_sweep(sweep, make_engine("slurm", sweep))
"""


def wait_for(what, seconds=30):
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return answer


def free_port():
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    "A Slurm cluster on this machine: munged, slurmctld and slurmd, with their files in one folder."

    def __init__(self, top: Path):
        self.top, self.started, host = top, {}, socket.gethostname().partition(".")[0]
        for name in ("munge", "state", "spool"):
            (top / name).mkdir(mode=0o755)
        self.env = os.environ | {
            "SLURM_CONF": str(top / "slurm.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
        }
        key = top / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (top / "slurm.conf").write_text(CONF.format(host=host, top=top, ports=[free_port(), free_port()]))

    def begin(self):
        files = [
            f"--{name}={self.top}/munge/{name.partition('-')[0]}"
            for name in ("key-file", "socket", "pid-file", "log-file", "seed-file")
        ]
        self.start("munged", "--foreground", "--force", *files)
        wait_for((self.top / "munge" / "socket").exists)
        self.start("slurmctld", "-D", "-i")
        self.start("slurmd", "-D", "-N", "n1")
        wait_for(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T"))

    def start(self, name, *arguments):
        log = open(self.top / f"{name}.out", "a")
        self.started[name] = subprocess.Popen(
            [name, *arguments], env=self.env, stdout=log, stderr=log, start_new_session=True
        )

    def run(self, *command):
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60).stdout

    def jobs(self, state):
        "Ids of the jobs in a state: PD (pending), R (running) or CG (completing)."
        return self.run("squeue", "-h", "--array", "-t", state, "-o", "%i").split()

    def tend(self):
        "Do what an operator does: resume a drained node, and let requeued or held jobs start at once."
        if any(word in self.run("sinfo", "-h", "-o", "%T") for word in ("drain", "down", "fail")):
            self.run("scontrol", "update", "NodeName=n1", "State=RESUME")
        for job in self.jobs("PD"):
            self.run("scontrol", "update", f"JobId={job}", "StartTime=now")
            self.run("scontrol", "release", job)

    def finish(self, sweep, engine, pause, seconds=200):
        "Run a sweep to its end; fail if that takes too long."
        deadline = time.monotonic() + seconds

        def show(status):
            self.tend()
            assert time.monotonic() < deadline, (
                f"not finished after {seconds} s: {status['counts']}\n{self.report()}"
            )

        return run_sweep(sweep, engine, show, pause)

    def report(self):
        "The cluster's state, for the message of a failed test."
        asked = [
            self.run(*command)
            for command in (
                ("squeue", "-l"),
                ("sinfo", "-lR"),
                ("scontrol", "show", "node"),
                ("scontrol", "show", "job"),
            )
        ]
        return "\n".join(
            asked + [path.read_text(errors="replace")[-3000:] for path in self.top.glob("slurm*.out")]
        )

    def kill(self, name):
        self.started[name].kill()
        self.started[name].wait()

    def close(self):
        self.run("scancel", f"--user={os.getuid()}")
        try:
            wait_for(lambda: not self.run("squeue", "-h"), 10)
        except AssertionError:
            pass
        for name in reversed(self.started):
            self.started[name].terminate()
            try:
                self.started[name].wait(5)
            except subprocess.TimeoutExpired:
                self.kill(name)
        for entry in Path("/proc").glob("[0-9]*"):  # a slurmstepd that outlived its daemon
            try:
                ours = f"SLURM_CONF={self.top}/" in (entry / "environ").read_text(
                    errors="replace"
                ) and entry.name != str(os.getpid())
            except OSError:
                continue
            if ours:
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.fixture(scope="module")
def running_cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.begin()
        yield made
    finally:
        made.close()


@pytest.fixture
def cluster(running_cluster, monkeypatch):
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, running_cluster.env[name])
    return running_cluster


@pytest.fixture
def sweeps(tmp_path, monkeypatch):
    "The same sweep for each engine, each in its own folder."
    for name in ("OMP_NUM_THREADS", "QALIGN_DT_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    made = {}
    for name in ("local", "slurm"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        page = new_notebook(cells=[new_code_cell(source) for source in CELLS])
        page.cells[0].metadata.tags = ["parameters"]
        nbformat.write(page, folder / "toy.ipynb")
        (folder / "toys.yaml").write_text(SWEEP.format(folder=folder))
        made[name] = read_sweep(folder / "toys.yaml")
    return made


def records(sweep):
    "The records, without time and machine."
    found = [json.loads(path.read_text()) for path in sweep.file.parent.glob("out/records/*/*.json")]
    kept = [
        {k: v for k, v in record.items() if k not in ("environment", "started", "seconds")}
        for record in found
    ]
    return sorted(kept, key=lambda record: record["run_id"])


def test_jobs_and_daemon_killed(cluster, sweeps):
    sweep = sweeps["slurm"]
    states = sweep.file.parent / "out" / "states"
    with open(sweep.file.parent / "loop.txt", "w") as log:
        loop = subprocess.Popen([sys.executable, "-c", LOOP, sweep.file], stdout=log, stderr=log)
    wait_for(
        lambda: len([p for p in states.glob("*.txt") if int(p.read_text().split()[0]) > 3]) >= 3, 90
    )  # all three are mid-run
    working = {run.state["job"]: run.state for run in sweep.runs}
    assert len(working) == 3 and set(working) == set(cluster.jobs("R"))
    first, second, third = sorted(working)
    loop.kill()
    loop.wait()
    cluster.run("scontrol", "requeue", first)  # what preemption does
    # Slurm does not requeue a killed process: the next loop submits it again.
    os.kill(working[second]["pid"], signal.SIGKILL)
    wait_for(lambda: cluster.jobs("PD") == [first] and not cluster.jobs("CG"))
    assert cluster.jobs("R") == [third]
    cluster.kill("slurmd")  # the node's daemon is restarted while the third run goes on
    cluster.start("slurmd", "-D", "-N", "n1")
    status = cluster.finish(read_sweep(sweep.file), SlurmEngine(sweep), 0.5)
    assert status["counts"]["finished"] == status["total"] == 3, status
    # Two of the three were interrupted and started again.
    assert sum(run["starts"] for run in status["runs"]) >= 5, status
    again = [
        path
        for path in sweep.folder.glob("toy-*.ipynb")
        if '"seed' in path.read_text() and " begins at 0" not in path.read_text()
    ]
    assert len(again) >= 2, "the interrupted runs started from nothing"
    assert not list(sweep.folder.glob("*-failed.ipynb")) and not cluster.run("squeue", "-h")

    local = cluster.finish(sweeps["local"], make_engine("local", sweeps["local"], cores=6), 0.2)
    assert local["counts"]["finished"] == 3
    assert len(records(sweep)) == 3 and records(sweep) == records(sweeps["local"])
    assert {record["metrics"]["score"] for record in records(sweep)} == {
        (seed + 1) * sum(range(200)) for seed in range(3)
    }
    assert [run["name"].partition("-")[0] for run in sweep_status(sweep)["runs"]] == ["toy"] * 3


def test_cancelled(cluster, sweeps):
    sweep = sweeps["slurm"]
    assert run_sweep(sweep, SlurmEngine(sweep), detach=True)["counts"]["queued"] == 3  # returns at once
    assert len(cancel_sweep(sweep)) == 3
    wait_for(lambda: not cluster.run("squeue", "-h"))
    assert sweep_status(sweep)["counts"]["finished"] == 0
