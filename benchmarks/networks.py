"""Images per second and memory of a training step of encoders and decoders.

    OMP_NUM_THREADS=1 python benchmarks/networks.py [--rounds 5] [--encoders resnet18 resnet50] [--size 96 128]

A step is forward, three losses, backward and Adam, for 14 classes, depth and normals, batch 8. Steps of all variants
are timed in turn, round by round: minimum and median. `smp fpn` is segmentation_models_pytorch's own FPN decoder with
the same encoder and heads. Memory is what two steps add at most to a process of their own. Precisions are those that
`training.precision auto` looks at: fp32 in both memory layouts and bf16 with channels_last (leave that out with
`--precisions` on processors without it: emulated, it takes many times as long). Weights are random: they do not change
the time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder as SmpFPN
from torch import Tensor, nn
from train_step import peak_resident

from mtpsl.networks import EncoderDecoder
from mtpsl.structures import Batch, Sample
from mtpsl.tasks import Depth, Normals, Segmentation
from mtpsl.training.malloc import keep_freed_memory

TASKS = [Segmentation(num_classes=14), Depth(), Normals()]
CNNS = ["tf_efficientnet_lite0", "resnet18", "resnet50", "convnext_tiny"]
VARIANTS = [(encoder, decoder) for encoder in CNNS for decoder in ("fpn", "smp fpn", "unet", "upernet", "segformer")]
VARIANTS += [("vit_small_patch16_224", decoder) for decoder in ("fpn", "dpt")]
BATCH = 8
PRECISIONS = {"fp32": (False, False), "fp32 channels_last": (False, True), "bf16 channels_last": (True, True)}
"""Whether a step is in bf16, and whether with channels_last."""


class Reference(nn.Module):
    """segmentation_models_pytorch's FPN decoder with its own sizes."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        channels = [3, *encoder.out_channels]
        if len(channels) < 6:  # no map at a half of the image
            channels.insert(1, 0)
        self.decoder, self.out_channels = SmpFPN(channels, len(channels) - 1), 128

    def forward(self, images: Tensor, features: list[Tensor]) -> Tensor:
        """The map in which heads predict; the package wants the images before the maps."""
        whole = len(features) == 5
        halves = features if whole else [images.new_zeros((len(images), 0, 1, 1)), *features]
        result: Tensor = self.decoder([images, *halves])
        return result


def make_step(encoder: str, decoder: str, size: tuple[int, int], precision: str) -> Callable[[], None]:
    """One optimization step, as a function."""
    torch.manual_seed(0)
    bf16, channels_last = PRECISIONS[precision]
    channels = {task.name: task.out_channels for task in TASKS}
    if decoder == "smp fpn":
        network = EncoderDecoder(channels, encoder=encoder, decoder_channels=128)
        network.decoders["shared"] = Reference(network.encoder)
    else:
        network = EncoderDecoder(channels, encoder=encoder, decoder=decoder)
    batch = make_batch(size)
    images = batch.images
    if channels_last:
        network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = network(images).predictions
        losses = [task.loss(output[task.name], batch.targets[task.name], batch.valid[task.name]) for task in TASKS]
        torch.cat(losses).sum().backward()
        optimizer.step()

    return step


def make_batch(size: tuple[int, int]) -> Batch:
    """Random images with all labels."""
    random = torch.Generator().manual_seed(0)
    samples = []
    for index in range(BATCH):
        targets = {
            "segmentation": torch.randint(0, 14, size, generator=random),
            "depth": torch.rand((1, *size), generator=random) + 0.5,
            "normals": torch.nn.functional.normalize(torch.randn((3, *size), generator=random), dim=0),
        }
        valid = {name: torch.ones(size, dtype=torch.bool) for name in targets}
        samples.append(Sample(str(index), torch.rand((3, *size), generator=random), targets, valid))
    return Batch.collate(samples, {task.name: task.target_spec for task in TASKS})


def added_memory(connection: Any, *variant: Any) -> None:
    """Send what two steps add at most to this process, in MiB."""
    torch.set_num_threads(1)
    step = make_step(*variant)
    before = peak_resident()
    for _ in range(2):
        step()
    connection.send(peak_resident() - before)


def memory(*variant: Any) -> float:
    """The same, of a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=added_memory, args=(theirs, *variant))
    process.start()
    result = float(ours.recv())
    process.join()
    return result


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--encoders", nargs="+", default=None)
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=list(PRECISIONS))
    arguments = parser.parse_args()
    keep_freed_memory()
    size = (arguments.size[0], arguments.size[1])
    print(f"{size[0]} x {size[1]}, batch {BATCH}, {torch.get_num_threads()} threads\n")
    print(
        "| encoder | decoder | precision | images/s best | median | MiB | parameters |\n|---|---|---|--:|--:|--:|--:|"
    )
    for encoder in arguments.encoders or dict.fromkeys(encoder for encoder, _ in VARIANTS):
        decoders = [decoder for known, decoder in VARIANTS if known == encoder]
        variants = [(decoder, precision) for decoder in decoders for precision in arguments.precisions]
        steps = {variant: make_step(encoder, variant[0], size, variant[1]) for variant in variants}
        times: dict[Any, list[float]] = {key: [] for key in steps}
        for number in range(arguments.rounds + 1):
            for key, step in steps.items():
                start = time.perf_counter()
                step()
                if number:  # the first round allocates
                    times[key].append(time.perf_counter() - start)
        del steps
        for (decoder, precision), seconds in times.items():
            network = EncoderDecoder({"a": 1}, encoder=encoder, decoder="fpn" if decoder == "smp fpn" else decoder)
            count = sum(p.numel() for p in network.parameters()) / 1e6
            print(
                f"| {encoder} | {decoder} | {precision} | {BATCH / min(seconds):.1f} | "
                f"{BATCH / statistics.median(seconds):.1f} | {memory(encoder, decoder, size, precision):.0f} | "
                f"{'' if decoder == 'smp fpn' else f'{count:.1f} M'} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
