"""d4rl 1.1 with gym 0.23.1 reads the files we write, and we read its environments.

Both packages are the released ones, installed in a virtual environment of their own. Only the physics is
left out: d4rl's environments import mujoco_py, which no longer builds, so a stand-in with the same spaces
takes its place. NumPy, h5py, PyTorch and this package come from the environment that runs the tests.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "gym==0.23.1",
    "d4rl==1.1",
    "gym-notices==0.0.8",
    "termcolor==2.5.0",
)  # d4rl's other requirements no longer build

# An environment as d4rl registers it, without physics.
# Its data file lies where d4rl looks for it, so nothing is downloaded.
PROLOGUE = """
import os
from pathlib import Path
import d4rl, gym, h5py
import numpy as np
from d4rl.offline_env import OfflineEnvWrapper
from qalign_dt import load_dataset
from qalign_dt.data import Trajectories
from qalign_dt.datasets.d4rl import ARRAYS
from qalign_dt.datasets.d4rl import write_d4rl
from qalign_dt.datasets.tasks import d4rl_reference, normalized_score

NAME = "hopper-medium-v2"

class Still(gym.Env):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (11,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (3,), np.float32)

infos = d4rl.infos
gym.register(
    NAME,
    entry_point=lambda **options: OfflineEnvWrapper(Still(), **options),
    max_episode_steps=10,
    kwargs={
        "dataset_url": infos.DATASET_URLS[NAME],
        "ref_min_score": infos.REF_MIN_SCORE[NAME],
        "ref_max_score": infos.REF_MAX_SCORE[NAME],
    },
)
env = gym.make(NAME)
assert gym.__version__ == "0.23.1" and isinstance(env, gym.wrappers.TimeLimit) and env.spec.id == NAME
home = Path(os.environ["D4RL_DATASET_DIR"])
rng = np.random.default_rng(0)

def drawn(terminals, timeouts, n=60):
    flags = [np.isin(np.arange(n), ends) for ends in (terminals, timeouts)]
    info = {"name": "toy/hopper", "source": "toy", "env_id": "Hopper-v4"}
    observations, actions, rewards = rng.normal(size=(n, 11)), rng.uniform(-1, 1, (n, 3)), rng.normal(size=n)
    return Trajectories.from_flat(observations, actions, rewards, *flags, info)

def rows(t, i):
    return slice(t.offsets[i], t.offsets[i + 1])

path = home / "hopper_medium-v2.hdf5"
"""

# d4rl reads our files: every array to the bit, every trajectory, every transition.
READS = """
ours = drawn([11, 30], [24, 45])
write_d4rl(ours, path)
for found in (env.get_dataset(), env.get_dataset(h5path=str(path))):
    assert set(found) == set(ARRAYS)
    for k in ARRAYS:
        assert np.array_equal(found[k], getattr(ours, k)) and found[k].dtype == getattr(ours, k).dtype

episodes = list(d4rl.sequence_dataset(env))
assert len(episodes) == ours.n_trajectories == 5
for i, episode in enumerate(episodes):
    assert all(np.array_equal(episode[k], getattr(ours, k)[rows(ours, i)]) for k in ARRAYS)

kept = np.flatnonzero(~ours.timeouts[:-1])  # no transition across a timeout; d4rl leaves out the last row
transitions = d4rl.qlearning_dataset(env)
for k in ARRAYS[:4]:
    assert np.array_equal(transitions[k], getattr(ours, k)[kept])
assert np.array_equal(transitions["next_observations"], ours.observations[kept + 1])
"""

# We read d4rl's environment object: gym.make's wrappers, with get_dataset() below them.
OBJECT = """
ours = drawn([11, 30], [24, 45])
write_d4rl(ours, path)
theirs = load_dataset(env)
assert theirs.content_hash() == ours.content_hash() and np.array_equal(theirs.offsets, ours.offsets)
assert theirs.name == "object/hopper-medium-v2" and theirs.info["env_id"] == "Hopper-v4"
assert load_dataset(str(path)).content_hash() == ours.content_hash()
"""

# A file whose last episode is unfinished, as in D4RL's own files: both leave that episode out.
UNFINISHED = """
whole = drawn([11, 30], [24, 45])
with h5py.File(path, "w") as f:
    for k in ARRAYS:
        f[k] = getattr(whole, k)
    f["timeouts"][-1] = False
theirs, found = list(d4rl.sequence_dataset(env)), load_dataset(env)
assert len(theirs) == found.n_trajectories == 4 and found.n_steps == 46
for i, episode in enumerate(theirs):
    assert all(np.array_equal(episode[k], getattr(found, k)[rows(found, i)]) for k in ARRAYS)
"""

# Files without timeouts. We agree where every episode ends in a terminal state. Where the time limit ends
# them, d4rl counts the first episode from 0 and the others from 1, so those are a step short and the rest
# drifts. We count all alike.
UNTIMED = """
for terminals, lengths, d4rls in (
    ([5, 11, 18, 27, 36, 43, 50, 59], [6, 6, 7, 9, 9, 7, 7, 9], [6, 6, 7, 9, 9, 7, 7, 9]),
    ([], [10] * 6, [10, 9, 9, 9, 9, 9]),
    ([24], [10, 10, 5, 10, 10, 10], [10, 9, 6, 9, 9, 9]),
):
    whole = drawn(terminals, [])
    with h5py.File(path, "w") as f:
        for k in ARRAYS[:4]:
            f[k] = getattr(whole, k)
    theirs = [len(episode["rewards"]) for episode in d4rl.sequence_dataset(env)]
    assert theirs == d4rls, theirs
    assert load_dataset(env).lengths.tolist() == lengths, load_dataset(env).lengths
"""

# Scores and addresses of every data set that d4rl names.
SCORES = """
reference = d4rl_reference()
assert reference["REF_MIN_SCORE"] == infos.REF_MIN_SCORE
assert reference["REF_MAX_SCORE"] == infos.REF_MAX_SCORE
assert reference["DATASET_URLS"] == infos.DATASET_URLS
returns = np.linspace(-500, 12000, 7)
for name in infos.REF_MIN_SCORE:
    theirs = 100 * d4rl.get_normalized_score(name, returns)
    assert np.allclose(normalized_score(name, returns), theirs, rtol=1e-12), name
assert np.allclose(normalized_score(NAME, returns), 100 * env.get_normalized_score(returns), rtol=1e-12)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A function that runs a Python program where d4rl and gym are installed."
    folder = tmp_path_factory.mktemp("d4rl")
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", *PACKAGES]
    done = subprocess.run(install, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    here = sysconfig.get_paths()["purelib"]
    site = Path(
        sysconfig.get_path(
            "purelib", "venv", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}
        )
    )
    (site / "shared.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    env = os.environ | {
        "D4RL_DATASET_DIR": str(folder),
        "D4RL_SUPPRESS_IMPORT_ERROR": "1",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }

    def run(program):
        return subprocess.run(
            [python, "-W", "ignore", "-c", PROLOGUE + program],
            cwd=folder,
            env=env,
            text=True,
            capture_output=True,
        )

    return run


@pytest.mark.parametrize(
    "program",
    [READS, OBJECT, UNFINISHED, UNTIMED, SCORES],
    ids=["reads", "object", "unfinished", "untimed", "scores"],
)
def test_d4rl(run, program):
    done = run(program)
    assert done.returncode == 0, done.stderr
