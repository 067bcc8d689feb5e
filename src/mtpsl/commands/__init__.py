"""The commands of the command line, one file each; heavy imports wait until a command runs."""

from mtpsl.commands.autolabel import autolabel
from mtpsl.commands.check import check
from mtpsl.commands.compare import compare
from mtpsl.commands.convert import convert
from mtpsl.commands.demo import demo
from mtpsl.commands.distill import distill
from mtpsl.commands.evaluate import evaluate
from mtpsl.commands.export import export
from mtpsl.commands.import_checkpoint import import_checkpoint
from mtpsl.commands.init import init
from mtpsl.commands.predict import predict
from mtpsl.commands.recipes import recipes
from mtpsl.commands.replay import replay
from mtpsl.commands.report import report
from mtpsl.commands.scenes import scenes
from mtpsl.commands.serve import serve
from mtpsl.commands.sweep import sweep
from mtpsl.commands.train import train

__all__ = [
    "autolabel",
    "check",
    "compare",
    "convert",
    "demo",
    "distill",
    "evaluate",
    "export",
    "import_checkpoint",
    "init",
    "predict",
    "recipes",
    "replay",
    "report",
    "scenes",
    "serve",
    "sweep",
    "train",
]
