"""Does every network become an ONNX file, how far is it from the network, and how fast is it?

    python benchmarks/export.py differences [NAME ...]    every network and decoder, small, with random weights
    python benchmarks/export.py speed                     tf_efficientnet_lite0 with fpn, one thread, batch 1

Times are those of the process (one thread), so that other programs on the machine lengthen them little; PyTorch and
ONNX Runtime take turns. Results: benchmarks/export.md.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mtpsl import MTAN, Depth, EncoderDecoder, Normals, ResNetASPP, Segmentation, SegNet
from mtpsl.errors import UserError
from mtpsl.inference.export import Deployable, exported
from mtpsl.inference.export.deployable import as_bytes
from mtpsl.inference.export.int8 import in_int8
from mtpsl.inference.export.onnx_file import Session

TASKS = [Segmentation(num_classes=13), Depth(), Normals()]
CHANNELS = {task.name: task.out_channels for task in TASKS}


def decoded_by(decoder: str, encoder: str = "resnet18") -> Callable[[], torch.nn.Module]:
    """A maker of a network with this decoder."""
    return lambda: EncoderDecoder(CHANNELS, encoder=encoder, decoder=decoder, decoder_channels=16)


NETWORKS: Mapping[str, Callable[[], torch.nn.Module]] = {
    "segnet": lambda: SegNet(CHANNELS, width=0.125),
    "mtan": lambda: MTAN(CHANNELS, width=0.125),
    "resnet_aspp (test_resnet)": lambda: ResNetASPP(CHANNELS, encoder="test_resnet", head_channels=16),
    "fpn (test_resnet)": decoded_by("fpn", "test_resnet"),
    "unet (test_resnet)": decoded_by("unet", "test_resnet"),
    "upernet (test_resnet)": decoded_by("upernet", "test_resnet"),
    "segformer (test_resnet)": decoded_by("segformer", "test_resnet"),
    "dpt (test_vit)": decoded_by("dpt", "test_vit"),
    "fpn (test_vit)": decoded_by("fpn", "test_vit"),
}


def differences(names: list[str]) -> None:
    """One row of a table for every network."""
    print("| network | takes | classes that differ | depth | normals | seconds |\n|---|---|---|---|---|---|")
    images = [torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    for name in names or NETWORKS:
        torch.manual_seed(0)
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            try:
                file = Path(folder) / "network.onnx"
                made = exported(NETWORKS[name]().eval(), TASKS, images, file, say=lambda _: {})
            except UserError as error:
                print(f"| {name} | {error} | | | | |", flush=True)
                continue
        shown = " | ".join(f"{one.share:.1g}" for one in made.differences)
        seconds = time.process_time() - start
        why = f" ({made.recorded.why})" if made.recorded.why else ""
        print(f"| {name} | {made.recorded.freedom}{why} | {shown} | {seconds:.0f} |", flush=True)


def speed(rounds: int = 15) -> None:
    """Images per second of both, in turns."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = EncoderDecoder(CHANNELS, encoder="tf_efficientnet_lite0").eval()
    module = Deployable(network, TASKS)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        images = [torch.rand(1, 3, 96, 128) for _ in range(4)]
        made = exported(network, TASKS, images, file, say=lambda _: {}, both=True)
        small = in_int8(made.model, [as_bytes(image).numpy() for image in images])
        print(f"{file.stat().st_size / 1e6:.1f} MB, in int8 {small.ByteSize() / 1e6:.1f} MB")
    names = [task.name for task in TASKS]
    onnx, int8 = (Session(model.SerializeToString(), threads=1).session for model in (made.model, small))
    print("| size | | images/s, median | fastest |\n|---|---|---|---|")
    for size in ((96, 128), (480, 640)):
        image = as_bytes(torch.rand(1, 3, *size))
        ways: dict[str, Callable[[], object]] = {
            "PyTorch": lambda image=image: module(image),
            "ONNX Runtime": lambda image=image: onnx.run(names, {"image": image.numpy()}),
            "ONNX Runtime, int8": lambda image=image: int8.run(names, {"image": image.numpy()}),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        with torch.no_grad():
            for turn in range(rounds + 2):
                for name, way in ways.items():
                    start = time.process_time()
                    way()
                    if turn > 1:  # the first ones choose kernels
                        taken[name].append(time.process_time() - start)
        for name, seconds in taken.items():
            shown = f"{1 / statistics.median(seconds):.1f} | {1 / min(seconds):.1f}"
            print(f"| {size[0]}x{size[1]} | {name} | {shown} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["speed"]:
        speed()
    elif sys.argv[1:2] == ["differences"]:
        differences(sys.argv[2:])
    else:
        sys.exit(__doc__)
