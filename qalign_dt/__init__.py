"""A policy with a dial: return-conditioned sequence models that deliver the return you ask for."""
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from qalign_dt.control import alignment_curve as alignment_curve
    from qalign_dt.policy import Policy as Policy
    from qalign_dt.sources import load_dataset as load_dataset
    from qalign_dt.train import QAlignDT as QAlignDT
    from qalign_dt.train import preset as preset

_HOME = {"load_dataset": "sources", "preset": "train", "QAlignDT": "train", "Policy": "policy", "alignment_curve": "control"}
__all__ = ["Policy", "QAlignDT", "alignment_curve", "load_dataset", "preset"]


def __getattr__(name: str) -> Any:
    "Import the library's main names when they are first used, so that `import qalign_dt` stays light."
    if name not in _HOME:
        raise AttributeError(f"module 'qalign_dt' has no attribute {name!r}")
    return getattr(import_module(f"qalign_dt.{_HOME[name]}"), name)
