"""Code of one's own, named as FILE.py:Class: an objective, a network, a weighting, a task or a data set."""

from mtpsl.plugins.load import checked_options, load_class, loaded_class, option_types, running
from mtpsl.plugins.names import OBJECT, absolute, file_of, is_object, names_code, title
from mtpsl.plugins.record import CODE, CodeRecord, class_name, copy_code, named_code
from mtpsl.plugins.trust import trust_from_here, trusting

__all__ = [
    "CODE",
    "OBJECT",
    "CodeRecord",
    "absolute",
    "checked_options",
    "class_name",
    "copy_code",
    "file_of",
    "is_object",
    "load_class",
    "loaded_class",
    "named_code",
    "names_code",
    "option_types",
    "running",
    "title",
    "trust_from_here",
    "trusting",
]
