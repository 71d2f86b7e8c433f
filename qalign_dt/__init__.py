"""A policy with a dial: return-conditioned sequence models that deliver the return you ask for."""
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from qalign_dt.calibrate import calibration_error as calibration_error
    from qalign_dt.control import alignment_curve as alignment_curve
    from qalign_dt.policy import Calibration as Calibration
    from qalign_dt.policy import OutOfReach as OutOfReach
    from qalign_dt.policy import Policy as Policy
    from qalign_dt.runs.seeds import fit_seeds as fit_seeds
    from qalign_dt.datasets.load import load_dataset as load_dataset
    from qalign_dt.track import track_velocity as track_velocity
    from qalign_dt.agent import QAlignDT as QAlignDT
    from qalign_dt.config import preset as preset

_HOME = {"Calibration": "policy", "OutOfReach": "policy", "Policy": "policy", "QAlignDT": "agent",
         "alignment_curve": "control", "calibration_error": "calibrate", "fit_seeds": "runs.seeds",
         "load_dataset": "datasets.load", "preset": "config", "track_velocity": "track"}
__all__ = ["Calibration", "OutOfReach", "Policy", "QAlignDT", "alignment_curve", "calibration_error",
           "fit_seeds", "load_dataset", "preset", "track_velocity"]


def __getattr__(name: str) -> Any:
    "Import the library's main names when they are first used, so that `import qalign_dt` stays light."
    if name not in _HOME:
        raise AttributeError(f"module 'qalign_dt' has no attribute {name!r}")
    return getattr(import_module(f"qalign_dt.{_HOME[name]}"), name)
