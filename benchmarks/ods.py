"""How long odsF takes: many maps at once (`BoundaryMetric`), beside one map at a time with a KD-tree.

    python benchmarks/ods.py [--sizes 96x128 375x500] [--kinds soft plateau] [--images 20] [--workers 1 2] [--plain 1]
    python benchmarks/ods.py --hardest            (one image at a time, 375x500, every kind of prediction)

Labels are outlines of random regions (9 % of the pixels at 96x128, 2 % at 375x500). "soft" predictions are blurred,
uneven outlines with clutter and noise, as of a trained network; "plateau" ones are smooth noise around one half without
any relation to the labels, as of an untrained network: whole regions pass a threshold, and thinning these takes long.
"blurred" ones are the outlines themselves, blurred by two pixels, times 3, plus smooth noise: nearly right everywhere,
so that lines lie beside lines; "noise", "checkerboard" and "constant" are what no network gives.

The plain way, written here only for the comparison, thins every map with scikit-image (or, without it, alone with
ours), lists the pairs within the distance by KD-tree and calls scipy's matching on each map; `--plain` says for how
many images, so its odsF is that of other images.

Measured on two x86 cores at 2.5 GHz with hardly anything else running (peak 234 GFLOP/s), commit f03968c. Seconds per
100 images, 99 thresholds, 32 images (the plain way: one) at 96x128 and 8 at 375x500:

      96x128 soft     plain           67.6 s
      96x128 soft     1 worker(s)      3.0 s
      96x128 soft     2 worker(s)      2.1 s
      96x128 plateau  plain          153.7 s
      96x128 plateau  1 worker(s)      4.9 s
      96x128 plateau  2 worker(s)      3.4 s
     375x500 soft     1 worker(s)     85.1 s
     375x500 soft     2 worker(s)     46.2 s
     375x500 plateau  1 worker(s)    127.1 s
     375x500 plateau  2 worker(s)     66.8 s

Since maps are matched one by one as flows (commit a4dac46, two quiet cores of an Intel Xeon with AMX, 8 images):

     375x500 soft     1 worker(s)     42.7 s
     375x500 soft     2 worker(s)     22.1 s
     375x500 plateau  1 worker(s)     66.0 s
     375x500 plateau  2 worker(s)     35.0 s

With `--hardest`, on the same cores beside eight other processes: processor seconds of one image, 5 images a kind:

         blurred minimum  0.89 median  0.95 largest  1.00
            soft minimum  0.60 median  0.65 largest  0.73
         plateau minimum  0.89 median  0.94 largest  0.96
           noise minimum  1.07 median  1.18 largest  1.52
    checkerboard minimum  0.64 median  0.73 largest  1.03
        constant minimum  0.09 median  0.10 largest  0.10

Before each map was matched alone as a flow, "blurred" images did not end within 230 s: the depth-first search of
scipy's maximum_bipartite_matching takes exponential time there. The bound is one of polynomial steps, not of a clock.
Labels are what it rests on: 6 % of the pixels took at most 2.9 s, 13 % with "noise" 7.8 s.

The same took up to twice as long on a day when these cores were slower (130 to 164 and 203 to 262 s with one worker).
Threads instead of processes gained nothing at 375x500 (6 images: 151 s with one, 201 s with two; plateau 347 and 303).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree

from mtpsl.tasks.boundaries import BoundaryMetric
from mtpsl.tasks.thinning import thin

THRESHOLDS = np.arange(1, 100) / 100


def noise(random: np.random.Generator, size: tuple[int, int], smoothing: float) -> np.ndarray:
    """Smooth noise of standard deviation 1."""
    smooth = gaussian_filter(random.standard_normal(size), smoothing)
    return smooth / smooth.std()


def outlines(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """True where the region of a pixel differs from that of its right or lower neighbor."""
    region = np.argmax([noise(random, size, size[1] / 14) for _ in range(6)], axis=0)
    edges = np.zeros(size, dtype=bool)
    edges[:, :-1] |= region[:, 1:] != region[:, :-1]
    edges[:-1] |= region[1:] != region[:-1]
    return edges


def predict(random: np.random.Generator, label: np.ndarray, kind: str) -> np.ndarray:
    """Logits of one kind."""
    size = label.shape
    y, x = np.indices(size)
    if kind == "blurred":
        blurred = gaussian_filter(thin(label[None])[0].astype(float), 2)
        return 3 * blurred / blurred.max() + 0.5 * noise(random, size, 3) - 1.5
    if kind == "noise":
        return 2 * random.standard_normal(size)
    if kind == "checkerboard":
        return np.where((y + x) % 2, 3.0, -3.0) + random.standard_normal(size)
    if kind == "constant":
        return np.ones(size)
    if kind == "plateau":
        return 0.6 * noise(random, size, 6) + 0.05 * random.standard_normal(size)
    blurred = gaussian_filter(label.astype(float), 1.5 * size[1] / 128)
    probability = blurred / blurred.max() * np.clip(0.7 + 0.5 * noise(random, size, 6), 0, 1.3)
    probability += 0.12 * np.clip(noise(random, size, 3), 0, None) + 0.03 * random.standard_normal(size)
    probability = np.clip(probability, 1e-3, 1 - 1e-3)
    return np.log(probability / (1 - probability))


def plain(logits: np.ndarray, label: np.ndarray) -> float:
    """The odsF of one image, one threshold after the other."""
    try:
        from skimage.morphology import thin as thin_one
    except ImportError:

        def thin_one(binary: np.ndarray) -> np.ndarray:
            return thin(binary[None])[0]

    distance = 0.0075 * float(np.hypot(*label.shape)) + 1e-9
    places, best = np.argwhere(label), 0.0
    for threshold in THRESHOLDS:
        found = np.argwhere(thin_one(1 / (1 + np.exp(-logits)) >= threshold))
        if not len(found):
            continue
        near = KDTree(found).query_ball_tree(KDTree(places), distance)
        columns = np.concatenate([np.array(some, dtype=np.int32) for some in near])
        starts = np.cumsum([0, *map(len, near)])
        graph = csr_array((np.ones(len(columns), dtype=np.int8), columns, starts), shape=(len(found), len(places)))
        matched = (maximum_bipartite_matching(graph, perm_type="column") >= 0).sum()
        best = max(best, 2 * matched / (len(found) + len(places)))
    return 100 * best


def hardest(size: tuple[int, int], images: int) -> None:
    """Print one line per kind: processor seconds of one image on one core."""
    for kind in ("blurred", "soft", "plateau", "noise", "checkerboard", "constant"):
        random, times = np.random.default_rng(0), []
        for _ in range(images):
            label = outlines(random, size)
            metric = BoundaryMetric(workers=1)
            prediction, target = (torch.from_numpy(x)[None, None] for x in (predict(random, label, kind), label))
            start = time.process_time()
            metric.update(prediction, target.float(), torch.ones_like(target[:, 0]))
            times.append(time.process_time() - start)
        print(
            f"{kind:>16} minimum {min(times):5.2f} median {np.median(times):5.2f} largest {max(times):5.2f}", flush=True
        )


def main() -> None:
    """Print one line per size, kind and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["96x128", "375x500"])
    parser.add_argument("--kinds", nargs="+", default=["soft", "plateau"])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--plain", type=int, default=1)
    parser.add_argument("--hardest", action="store_true")
    options = parser.parse_args()
    if options.hardest:
        return hardest((375, 500), min(options.images, 5))
    for text in options.sizes:
        height, width = map(int, text.split("x"))
        for kind in options.kinds:
            random = np.random.default_rng(0)
            labels = np.stack([outlines(random, (height, width)) for _ in range(options.images)])
            logits = np.stack([predict(random, label, kind) for label in labels])
            ways = [("plain", 0), *((f"{workers} worker(s)", workers) for workers in options.workers)]
            for name, workers in ways:
                count = len(labels) if workers else min(options.plain, len(labels))
                start, busy, score = time.perf_counter(), time.process_time(), float("nan")
                if workers:
                    metric = BoundaryMetric(workers=workers)
                    for rows in np.array_split(np.arange(count), -(-count // 8)):
                        prediction, target = (torch.from_numpy(x[rows])[:, None] for x in (logits, labels))
                        metric.update(prediction, target.float(), torch.ones_like(target[:, 0]))
                    score = float(metric.compute()["odsf"])
                else:
                    for row in range(count):
                        score = plain(logits[row], labels[row])
                if count:
                    took = (time.perf_counter() - start) * 100 / count
                    busy = (time.process_time() - busy) * 100 / count
                    line = f"{text:>8} {kind:8} {name:12} {took:7.1f} s elapsed {busy:7.1f} s processor"
                    print(f"{line}   odsF {score:5.1f}", flush=True)


if __name__ == "__main__":
    main()
