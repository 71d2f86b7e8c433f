"""A regenerated set has the same bytes whatever kernels the libraries choose; recorded steps are repeated.

Each setting makes a library use other machine code, as another processor would.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qalign_dt.datasets.envs import make_env

SETTINGS = [
    {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    {"MKL_CBWR": "COMPATIBLE"},
    {"ATEN_CPU_CAPABILITY": "default"},
    {"OPENBLAS_CORETYPE": "Sandybridge"},
    {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
]
CODE = """
from qalign_dt.datasets.regenerate import regenerate
for name in ("halfcheetah-medium", "hopper-medium", "walker2d-medium"):
    print(regenerate(name, 400).content_hash())
"""
RECORDED = Path(os.environ.get("QALIGN_DT_RECORDED", Path(__file__).parents[2] / "shared" / "replay"))


def made_with(settings):
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | settings, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def plain():
    return made_with({})


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(s))
def test_same_bytes(settings, plain):
    assert made_with(settings) == plain


@pytest.mark.parametrize("env_id", ["Ant-v4", "Hopper-v4", "Walker2d-v4", "HalfCheetah-v4"])
def test_recorded_steps(env_id):
    "Two episodes that others recorded with a MuJoCo before 3.5; set QALIGN_DT_RECORDED to their folder."
    path = RECORDED / f"{env_id}.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    steps = np.load(path)
    env = make_env(env_id).unwrapped
    env.reset(seed=0)
    root = 2 if env_id == "Ant-v4" else 1  # numbers of the position that are not observed
    seen = env.model.nq - root
    compared = 0
    for before, action, after in zip(steps["observations"], steps["actions"], steps["next_observations"]):
        velocity = before[seen : seen + env.model.nv]
        if env_id != "Ant-v4" and np.abs(velocity).max() >= 10:
            continue  # Hopper and Walker2d clip the velocities that they show
        env.set_state(np.concatenate([np.zeros(root), before[:seen]]), velocity)
        error = np.abs(env.step(action)[0][: seen + env.model.nv] - after[: seen + env.model.nv]).max()
        assert error < 1e-9
        compared += 1
    assert compared > 200
