"""Random changes of a batch in which labels follow the images.

Magnified crops and mirror images as in the paper (`zoom_crop.py`: open this first), turns and rescaling as
published for PASCAL (`rotate.py`), and changes of light and color that leave labels alone (`photometric.py`). What a
change means for a task's values (a zoom divides depth, a flip negates the normals' x) is asked from the task.
"""

from mtpsl.augmentation.photometric import PhotometricAugmentation
from mtpsl.augmentation.rotate import Rotation
from mtpsl.augmentation.zoom_crop import Augmentation

__all__ = ["Augmentation", "PhotometricAugmentation", "Rotation"]
