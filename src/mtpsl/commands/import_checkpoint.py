"""`mtpsl import-checkpoint`: a checkpoint of the authors' code becomes a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtpsl.commands.parsing import make_parser, parse
from mtpsl.commands.recipes import find_recipe
from mtpsl.commands.spinner import loading
from mtpsl.phrases import command


def import_checkpoint(arguments: Sequence[str]) -> None:
    """Parse `FILE --out RUN [options]` and write the run."""
    parser = make_parser(
        "import-checkpoint",
        "Turn a checkpoint that the paper's authors' code wrote for NYU-v2 or Cityscapes (SegNet, with its mapping "
        "network if it has one) into a run folder to evaluate, predict with and train on. Nothing in the file is "
        "executed. The file does not say what it was trained on: the options below tell the run.",
    )
    parser.add_argument("file", type=Path, help="the checkpoint, e.g. mtl_xtc_onelabel_..._model_best.pth.tar")
    parser.add_argument("--out", type=Path, required=True, help="the run folder to make")
    parser.add_argument("--data.root", type=str | None, default=None, help="the folder of the data set")
    parser.add_argument(
        "--data.name",
        type=str | None,
        default=None,
        help="its layout; by default nyuv2 for three tasks and cityscapes_mtan for two",
    )
    parser.add_argument("--data.regime", type=str, default="full", help="the label regime that it was trained with")
    parser.add_argument("--data.ratio", type=list[float] | None, default=None, help="of regime ratio, e.g. 1,9")
    parser.add_argument("--data.share", type=float | None, default=None, help="of regime semi, e.g. 0.333")
    parser.add_argument("--data.labels", type=str | None, default=None, help="of regime file: the list of labels")
    parser.add_argument("--label", type=str | None, default=None, help="what tables call it; by default its objective")
    values = parse(parser, arguments)

    with loading():
        from mtpsl.training.config import parse_config, read_options
        from mtpsl.training.published_checkpoint import import_published, read_published
        from mtpsl.training.run_folder import RunFolder

    RunFolder(values.out).check_new()
    published = read_published(values.file)
    recipe, usual = ("nyuv2_one_label", 13) if published.num_tasks == 3 else ("cityscapes_one_label", 7)
    options = {"data.root": None if values.data.root is None else str(Path(values.data.root).resolve())}
    options |= {"data.name": values.data.name, "data.regime": values.data.regime}
    options["data.ratio"] = None if values.data.ratio is None else str(values.data.ratio)
    options["data.share"] = None if values.data.share is None else str(values.data.share)
    options["data.labels"] = None if values.data.labels is None else str(Path(values.data.labels).resolve())
    options["data.classes"] = None if published.num_classes == usual else str(published.num_classes)
    options["objective.name"] = "supervised" if published.mapping is None else None
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", value)]
    method = "supervised" if published.mapping is None else "cross_task"
    config = parse_config(
        [*words, "--label", values.label or f"published {method}"], read_options(find_recipe(recipe)), prog=parser.prog
    )
    import_published(published, config, values.out)
    names = ", ".join(task.name for task in published.tasks)
    print(f"{values.out}: {method} on {names}; next: {command('evaluate', values.out)} --data.root DATA")
