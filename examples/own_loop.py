"""The consistency loss in a training loop of your own, around a network of your own."""

import torch
from torch import nn
from torch.utils.data import DataLoader

from mtpsl import Augmentation, Batch, CrossTaskConsistency, JointMappingOptions, Output, TermOptions
from mtpsl.data import PartialDataset, ScenesDataset, label_mask


class Tiny(nn.Module):
    """Any network will do that says its `stride` and `feature_channels` and returns an `Output`."""

    stride, feature_channels = 4, 32

    def __init__(self, out_channels: dict[str, int]) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU()
        )
        self.heads = nn.ModuleDict({name: nn.ConvTranspose2d(32, c, 4, stride=4) for name, c in out_channels.items()})

    def forward(self, images: torch.Tensor) -> Output:
        """Predict all tasks."""
        features = self.encoder(images)
        return Output({name: head(features) for name, head in self.heads.items()}, [features])


def main(steps: int = 20) -> float:
    """Train for some steps and return the last loss."""
    torch.manual_seed(0)
    scenes = ScenesDataset(16, size=(64, 96), tasks=("segmentation", "depth", "normals"))
    data = PartialDataset(scenes, label_mask(scenes.available, "one", seed=0))  # one label per image
    tasks = list(scenes.tasks.values())
    specs = {task.name: task.target_spec for task in tasks}
    loader = DataLoader(data, batch_size=4, shuffle=True, collate_fn=lambda samples: Batch.collate(samples, specs))

    network = Tiny({task.name: task.out_channels for task in tasks})
    term, mapping = TermOptions(ramp=0.5), JointMappingOptions(width=0.25)
    objective = CrossTaskConsistency(tasks, network, term=term, mapping=mapping)  # owns its mapping network
    augment = Augmentation(tasks)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=1e-3)
    for step in range(steps):
        objective.set_progress(step / steps)  # for what changes over the training: here the weight rises
        losses = objective(network, augment(next(iter(loader))))
        optimizer.zero_grad()
        losses.total().backward()
        optimizer.step()
        if step % 5 == 0:
            print(step, {name: round(float(x.detach()), 3) for name, x in {**losses.tasks, **losses.auxiliary}.items()})
    return float(losses.total().detach())


if __name__ == "__main__":
    main()
