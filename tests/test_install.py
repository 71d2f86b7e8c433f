"""The library as a user installs it, without nbdev or notebooks: imports, training and commands work."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What a build needs.
PARTS = (
    "qalign_dt",
    "setup.py",
    "settings.ini",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "constraints.txt",
    "CITATION.cff",
)

# Every module imports, and none of the contributors' tools is installed.
IMPORTS = """
import importlib, importlib.util, pkgutil
import qalign_dt
assert "site-packages" in qalign_dt.__file__, qalign_dt.__file__
for tool in ("nbdev", "fastcore", "papermill", "pytest"):
    assert importlib.util.find_spec(tool) is None, tool
for module in pkgutil.walk_packages(qalign_dt.__path__, "qalign_dt."):
    importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def installed():
    "The package installed in an environment of its own; gives a function that runs a program there."
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, source / part)
        binaries = Path(folder, "venv", "bin")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "VIRTUAL_ENV"))}
        env |= {
            "QALIGN_DT_CACHE": str(Path(folder, "cache")),
            "QALIGN_DT_PROGRESS": "off",
            "MPLBACKEND": "Agg",
        }

        def run(program, *arguments):
            command = [str(binaries / program), *map(str, arguments)]
            return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True)

        subprocess.run([sys.executable, "-m", "venv", binaries.parent], check=True)
        done = run(
            "python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", source
        )
        assert done.returncode == 0, done.stderr
        yield run


def test_imports(installed):
    done = installed("python", "-c", IMPORTS)
    assert done.returncode == 0, done.stderr


# The README's Python example, made small.
LIBRARY = """
from qalign_dt import load_dataset, preset, QAlignDT, Policy, alignment_curve
ds = load_dataset("hopper-random", n_transitions=2000)
agent = QAlignDT(preset("hopper-random", scale="tiny"), ds, device="cpu").fit()
curve = alignment_curve(agent.policy, "Hopper-v4", targets=3, episodes=2)
assert len(curve.data) == 6 and set(curve.metrics) >= {"spearman", "rmse", "mae", "slope"}
agent.save("policy")
policy = Policy.load("policy")
assert policy.act(ds.observations[0], target_return=100.0).shape == (3,)
"""


def test_library(installed):
    done = installed("python", "-c", LIBRARY)
    assert done.returncode == 0, done.stderr


def test_commands(installed):
    train = (
        "train",
        "--dataset",
        "hopper-random",
        "--n-transitions",
        2000,
        "--scale",
        "tiny",
        "--out",
        "run",
    )
    for command in (
        ("--help",),
        ("data", "list"),
        ("data", "info", "hopper-random", "--n-transitions", 2000),
        train,
        ("evaluate", "run", "--targets", 0, 50, "--episodes", 2),
        ("align", "run", "--targets", 3, "--episodes", 2),
    ):
        done = installed("qalign-dt", *command)
        assert done.returncode == 0, (command, done.stderr)
    again = installed("qalign-dt", *train)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "--resume" in again.stderr, (
        again.stderr
    )
