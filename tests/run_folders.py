"""Run folders as training leaves them, with scores that a test chooses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

KINDS = {
    "segmentation": {"miou": ("%", True), "pixel_accuracy": ("%", True)},
    "depth": {"abs_err": ("m", False), "rmse": ("m", False)},
    "normals": {"mean_err": ("deg", False)},
}


def run_content(objective: str, primary: dict[str, float], **changes: Any) -> dict[str, Any]:
    """What scores.json holds; the first metric of a task gets the value, further ones twice the value."""
    scores = {
        task: {
            name: {"value": value * (1 + rank), "unit": unit, "higher_is_better": higher, "primary": rank == 0}
            for rank, (name, (unit, higher)) in enumerate(KINDS[task].items())
        }
        for task, value in primary.items()
    }
    run = {"objective": objective, "regime": "one", "seed": 0, "data": "rooms", "tasks": list(primary)}
    run |= {"network": "segnet", "epochs": 20, "image_size": [96, 128], "complete": True, "commit": "c0ffee"}
    return {"run": run | changes, "split": "val", "epoch": 20, "scores": scores}


def write_run(root: Path, objective: str, primary: dict[str, float], **changes: Any) -> Path:
    """Write a run folder below `root` whose name tells what it is."""
    content = run_content(objective, primary, **changes)
    run = content["run"]
    content["epoch"] = run["epochs"]
    folder = root / "-".join([run["data"], objective, *primary, run["regime"], str(run["epochs"]), str(run["seed"])])
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("training: {}\n")
    (folder / "scores.json").write_text(json.dumps(content))
    return folder
