"""How different two colors look: CIELAB and CIEDE2000."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

WHITE = (0.95047, 1.0, 1.08883)
"""The white of sRGB (D65, two degrees)."""


def cielab(colors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """SRGB from 0 to 1 as lightness (0 to 100), green to red, and blue to yellow (IEC 61966-2-1, CIE 15)."""
    colors = colors.double()
    linear = torch.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ linear.new_tensor(matrix).T / linear.new_tensor(WHITE)
    x, y, z = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=0) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29).unbind(
        1
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def ciede2000(first: Float[Tensor, "n 3"], second: Float[Tensor, "m 3"]) -> Float[Tensor, "n m"]:
    """The difference of every color of `first` from every one of `second`, in CIELAB; about 1 can just be seen.

    G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test
    data, and mathematical observations", Color Research and Application 2005.

    >>> pair = torch.tensor([[50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485]], dtype=torch.float64)
    >>> round(float(ciede2000(pair[:1], pair[1:])), 4)
    2.0425
    """
    (l1, a1, b1), (l2, a2, b2) = first[:, None].unbind(2), second[None].unbind(2)
    weight = 0.5 * (1 - share((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2))
    a1, a2 = (1 + weight) * a1, (1 + weight) * a2
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = (torch.rad2deg(torch.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    gray = c1 * c2 == 0
    turn = ((h2 - h1 + 180) % 360 - 180).masked_fill(gray, 0.0)
    lightness, chroma = l2 - l1, c2 - c1
    hue = 2 * (c1 * c2).sqrt() * torch.sin(torch.deg2rad(turn) / 2)
    light, c = (l1 + l2) / 2, (c1 + c2) / 2
    h = torch.where(gray, h1 + h2, h1 + turn / 2) % 360
    t = (
        1
        - 0.17 * torch.cos(torch.deg2rad(h - 30))
        + 0.24 * torch.cos(torch.deg2rad(2 * h))
        + 0.32 * torch.cos(torch.deg2rad(3 * h + 6))
        - 0.20 * torch.cos(torch.deg2rad(4 * h - 63))
    )
    lightness = lightness / (1 + 0.015 * (light - 50) ** 2 / (20 + (light - 50) ** 2).sqrt())
    chroma, hue = chroma / (1 + 0.045 * c), hue / (1 + 0.015 * c * t)
    bend = 2 * share(c) * torch.sin(torch.deg2rad(60 * torch.exp(-(((h - 275) / 25) ** 2))))
    return (lightness**2 + chroma**2 + hue**2 - bend * chroma * hue).clamp(min=0).sqrt()


def share(chroma: Tensor) -> Tensor:
    """From 0 for gray to 1 for strong colors."""
    return (chroma**7 / (chroma**7 + 25.0**7)).sqrt()
