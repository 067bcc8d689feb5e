"""A run behind HTTP: a page to drop pictures on, and answers for programs."""

from mtpsl.serving.app import make_app
from mtpsl.serving.limits import Limits
from mtpsl.serving.listening import listen, run_server

__all__ = ["Limits", "listen", "make_app", "run_server"]
