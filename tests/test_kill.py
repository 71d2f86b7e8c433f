"""A training run that is killed and resumed ends with the same policy, to the byte, as one that was not."""

import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [
    str(Path(sys.executable).with_name("qalign-dt")),
    "train",
    "--dataset",
    "hopper-random",
    "--n-transitions",
    "2000",
    "--scale",
    "tiny",
    "--steps",
    "600",
    "--device",
    "cpu",
    "--out",
]


def train(folder, *more):
    env = os.environ | {
        "QALIGN_DT_PROGRESS": "off",
        "QALIGN_DT_CACHE": str(folder.parent / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [*COMMAND, str(folder), *more], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def test_killed_and_resumed(tmp_path: Path):
    finish(train(tmp_path / "calm"))
    killed = train(tmp_path / "killed")
    while killed.poll() is None and not list((tmp_path / "killed" / "checkpoints").glob("step_000003*.pt")):
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed" / "policy.json").exists(), "it finished before it could be killed"
    finish(train(tmp_path / "killed", "--resume"))
    for name in ("policy.safetensors", "policy.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes(), name
