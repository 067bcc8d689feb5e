"""Pictures of samples, predictions and mapped features."""

from mtpsl.visualization.cells import draw_cells
from mtpsl.visualization.mapped import draw_mapped
from mtpsl.visualization.sheets import draw_sheet, save_sheets

__all__ = ["draw_cells", "draw_mapped", "draw_sheet", "save_sheets"]
