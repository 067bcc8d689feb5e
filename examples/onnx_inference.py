"""Predict with a file that `mtpsl export RUN --out FILE.onnx` wrote: onnxruntime, numpy and Pillow are all it takes.

python onnx_inference.py FILE.onnx PICTURE...
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def predict(file, picture):
    """Arrays by task, at the size at which the network sees pictures, and what the file says of each task."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    said = json.loads(session.get_modelmeta().custom_metadata_map["mtpsl"])
    height, width = said["input"]["size"]
    image = Image.open(picture).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    found = session.run(None, {"image": np.asarray(image)[None]})
    names = [output.name for output in session.get_outputs()]
    return {name: values[0] for name, values in zip(names, found, strict=True)}, said["tasks"]


def main(file, *pictures):
    """Print what the network sees in each picture."""
    for picture in pictures:
        values, tasks = predict(file, picture)
        for task in tasks:
            found = values[task["name"]]
            span = f"from {found.min():.3g} to {found.max():.3g}"
            print(f"{picture} {task['name']}: {found.shape}, {task['meaning']}, {span}")


if __name__ == "__main__":
    main(*sys.argv[1:])
