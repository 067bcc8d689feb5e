"""The command line: parse, call, print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from mtpsl import commands
from mtpsl.errors import StoppedError, UserError, refusal
from mtpsl.files import at_home
from mtpsl.launched import launched_first_here
from mtpsl.plugins import trusting
from mtpsl.terminal import make_safe

COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "init": commands.init,
    "train": commands.train,
    "evaluate": commands.evaluate,
    "predict": commands.predict,
    "serve": commands.serve,
    "export": commands.export,
    "autolabel": commands.autolabel,
    "distill": commands.distill,
    "compare": commands.compare,
    "report": commands.report,
    "replay": commands.replay,
    "sweep": commands.sweep,
    "check": commands.check,
    "convert": commands.convert,
    "scenes": commands.scenes,
    "import-checkpoint": commands.import_checkpoint,
    "recipes": commands.recipes,
    "demo": commands.demo,
}

USAGE = """\
usage: mtpsl COMMAND ...

Train one vision network for several dense prediction tasks from partially annotated images.

  mtpsl demo                          train on built-in scenes and compare, in a few minutes
  mtpsl init FOLDER                   describe a folder of your own images and labels
  mtpsl check DATA                    what a data set holds and what is wrong with it
  mtpsl convert DATA OUT              write it in a form that is read quickly
  mtpsl train [RECIPE] --data.root DATA --out RUN
                                      train a network
  mtpsl evaluate RUN                  score it
  mtpsl predict RUN PICTURES --out DIR
                                      apply it to pictures of any size
  mtpsl serve RUN                     the same in a browser: a page to drop pictures on, and JSON for programs
  mtpsl autolabel RUN... DATA --out DATA2
                                      a data set in which labels that are missing are filled with what runs predict
  mtpsl distill [RECIPE] --data.root DATA --out FOLDER
                                      both together: networks that label what is missing for one that learns from it
  mtpsl export RUN --out FILE         write it for other programs: .onnx, .pt2 or .safetensors
  mtpsl compare RUN RUN ...           a table of runs, with the improvement over single-task networks
  mtpsl report RUN ... [--out FILE.html]
                                      one page to look at: labels, curves, predictions, errors
  mtpsl replay RUN                    the step that a run stopped at because its loss was not finite
  mtpsl scenes OUT                    write the built-in scenes as a data set
  mtpsl import-checkpoint FILE --out RUN
                                      make a run of a checkpoint of the paper's authors
  mtpsl sweep TABLE                   train a table of methods, label regimes and seeds
  mtpsl recipes                       list the recipes that ship with the package

`mtpsl COMMAND --help` explains a command and its options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all went well, 2 for anything that the user can mend, 75 for a training to go on with."""
    make_safe(sys.stdout, sys.stderr)
    words = [with_home(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"mtpsl {version('mtpsl')}")
        return 0
    if words[0] not in COMMANDS:
        return fail(f"command {words[0]!r} is unknown: choose one of {', '.join(COMMANDS)}")
    try:
        with trusting(False):
            COMMANDS[words[0]](words[1:])
    except StoppedError as error:
        # of several processes on a machine the first one answers: it would be killed if another one failed
        return fail(str(error), error.status) if launched_first_here() else 0
    except UserError as error:
        return fail(str(error))
    except OSError as error:  # a full disk, a file without permission
        if isinstance(error, BrokenPipeError):  # the reader of our output, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return fail(refusal(error))
    except KeyboardInterrupt:
        return fail("interrupted")
    return 0


def with_home(word: str) -> str:
    """A path, or an option's value, that begins with `~/`, with the home folder in its place."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{at_home(value)}" if value == "~" or value.startswith("~/") else word


def fail(message: str, status: int = 2) -> int:
    """Print one line and return the exit status, by default that of a user's error."""
    print(f"mtpsl: {' '.join(message.split())}", file=sys.stderr)
    return status
