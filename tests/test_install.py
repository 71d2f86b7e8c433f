"""The library without the notebooks: installed as a user installs it, into an environment that has no nbdev, then used."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# all that a build may need
PARTS = ("qalign_dt", "setup.py", "settings.ini", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt", "CITATION.cff")

# Every module can be imported, and nothing of the contributors' tools came along.
IMPORTS = """
import importlib, importlib.util, pkgutil
import qalign_dt
assert "site-packages" in qalign_dt.__file__, qalign_dt.__file__
for tool in ("nbdev", "fastcore", "papermill", "pytest"):
    assert importlib.util.find_spec(tool) is None, tool
for module in pkgutil.iter_modules(qalign_dt.__path__, "qalign_dt."):
    importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def installed():
    "A folder with `venv`, in which the package is installed from a copy of its sources, and `run(*command)` to use it there."
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        source.mkdir()
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, source / part)
        binaries = Path(folder, "venv", "bin")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "VIRTUAL_ENV"))}
        env |= {"QALIGN_DT_CACHE": str(Path(folder, "cache")), "QALIGN_DT_PROGRESS": "off", "MPLBACKEND": "Agg"}

        def run(program, *arguments):
            command = [str(binaries / program), *map(str, arguments)]
            return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True)

        subprocess.run([sys.executable, "-m", "venv", binaries.parent], check=True)
        done = run("python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", source)
        assert done.returncode == 0, done.stderr
        yield run


def test_imports(installed):
    done = installed("python", "-c", IMPORTS)
    assert done.returncode == 0, done.stderr
