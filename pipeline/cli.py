"""The command line: the steps of a study by hand, the same that the rules run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import NoReturn

from pipeline.io.one_thread import use_one_thread, use_one_thread_in_opencv
from pipeline.study.cells import find_cell, merged_cells, trainings_of
from pipeline.study.robust_models import robust_models

use_one_thread()

from corruptions.errors import CorruptionError
from corruptions.system_errors import READER_GONE, explained, reader_is_gone
from endoarss.errors import SettingsError, TrainingError
from endoarss.registry import list_architectures, list_backbones, list_mergers, list_weightings
from pipeline.errors import InputError
from pipeline.locking.command_locks import at_work
from pipeline.redaction import mask_tracebacks, masked
from pipeline.results.provenance import note_command
from pipeline.study.cell import MERGED
from pipeline.study.loading import load_study
from pipeline.study.models import Study
from pipeline.training.merge_request import STUDYS_RANK, check_made, rank_of_surgery, read_request
from reports.errors import ResultsError

Run = Callable[[Study, argparse.Namespace], None]
Add = Callable[..., argparse.ArgumentParser]


class _Parser(argparse.ArgumentParser):
    """Says what it does not understand without secrets."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and how it is used, and end."""
        super().error(masked(message))


def _parser(export: bool = False) -> argparse.ArgumentParser:
    """The parser; export: whether `predict --standalone` is asked for, which goes without inputs. Before Python 3.12 an argument that may
    be absent takes nothing behind an option, so it is not optional otherwise."""
    parser: argparse.ArgumentParser = _Parser(prog="endoarss", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Run | str, text: str, *arguments: str) -> argparse.ArgumentParser:
        """Add a command; run: what it does, or "module:function" of a step that takes the study and nothing else."""
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--study", type=Path, default=Path("params.yaml"), help="study file (default: params.yaml)"
        )
        for argument in arguments:
            command.add_argument(f"--{argument}", required=True)
        command.set_defaults(run=lambda parsed: _run(run, parsed))
        return command

    _add_looking(add)
    _add_data(add)
    _add_models(add)
    _add_reports(add)
    _add_robustness(add)
    _add_verify(add)
    _add_predict(commands, inputs="*" if export else "+")
    _add_versions(commands)
    return parser


def _add_workers(command: argparse.ArgumentParser, text: str = "processes (default: all cores)") -> None:
    command.add_argument("--workers", type=int, default=os.cpu_count() or 1, help=text)


def _add_looking(add: Add) -> None:
    """What looks at a study and its data."""
    doctor = add("doctor", _doctor, "examine the raw trees of a study: what is there, what is missing, what is wrong")
    doctor.add_argument("--dataset", default=[], action="append", help="examine this dataset alone (may be repeated)")
    doctor.add_argument("--deep", action="store_true", help="decode every picture and mask, not some of every folder")
    doctor.add_argument("--json", type=Path, help="write the report as JSON as well")
    doctor.add_argument("--export-split", type=Path, metavar="CSV", help="write which frame is in which part")
    _add_workers(doctor, "processes of --deep (default: all cores)")
    status = add("status", _status, "what of a study is done, runs, failed or is left, and what it takes")
    status.add_argument("--all", action="store_true", help="a line for each cell")
    status.add_argument("--json", action="store_true", help="print it as JSON")
    status.add_argument(
        "--estimate", action="store_true", help="time each model here and say what disk and hours it takes"
    )
    clean = add("clean", _clean, "say what nobody needs any more of a study's results and of shared data; delete it")
    clean.add_argument("--yes", action="store_true", help="delete it")
    clean.add_argument(
        "--shared", action="store_true", help="datasets and generated raw trees that no kept study uses too"
    )
    clean.add_argument("--results", action="store_true", help="all results of the study")
    add("list", _list, "list components and the cells of a study")


def _add_data(add: Add) -> None:
    add("generate", _generate, "generate one raw tree of a study with generated data", "tree")
    build = add("build", _build, "build one dataset from its raw trees", "dataset")
    build.add_argument(
        "--skip-bad", action="store_true", help="leave unreadable frames out and name them in the dataset's card"
    )
    _add_workers(build)
    _add_workers(add("pack", _pack, "decode a built dataset once to the study's size", "dataset"))


def _add_models(add: Add) -> None:
    step = "pipeline.training.pretrain_backbone:pretrain_backbone"
    add("pretrain", step, "pretrain the study's backbone on generated scenes")
    add("train", _train, "train one cell and keep its predictions on its test parts", "cell")
    _add_merge(add)
    evaluate = add("evaluate", _evaluate, "score trained or merged cells from their kept predictions")
    evaluate.add_argument("--cell", action="append", required=True, help="a cell (may be repeated)")
    evaluate.add_argument("--again", action="store_true", help="let the trained model predict again first")
    add("references", _references, "score the answers that need no model on one dataset", "dataset")


def _add_reports(add: Add) -> None:
    draw, page = "pipeline.reporting.figures.draw_datasets", "pipeline.reporting.make_page:make_page"
    collect, tables = "pipeline.evaluation.collect_results", "pipeline.reporting.tables.make_tables"
    add("collect", f"{collect}:collect_results", "gather all scores into results.parquet")
    add("draw-datasets", f"{draw}:draw_datasets", "draw contact sheets, balance, and classes by activity")
    add("draw-leakage", f"{draw}:draw_leakage", "draw how alike test and training frames are under both splits")
    add("tables", f"{tables}:make_tables", "write the tables")
    figures = add("figures", _figures, "draw all figures of the results")
    figures.add_argument("--only", metavar="NAME", default="", help="draw this one alone, e.g. fig5_segmentation")
    add("page", page, "write the page that shows everything")
    paper = add("paper", _paper, "write all tables and figures as one LaTeX document")
    paper.add_argument("--pdf", action="store_true", help="compile it as well (needs pdflatex)")
    report = add("report", _report, "all of these at once, from the results that are there; what is missing is named")
    report.add_argument(
        "--if-gaps", action="store_true", help="do nothing unless a cell lacks results and another has some"
    )


def _add_merge(add: Add) -> None:
    command = add("merge", _merge, "merge single-task models into one, with or without Representation Surgery")
    command.add_argument("models", nargs="+", metavar="MODEL", help="cells of the study, or checkpoints: one a task")
    command.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help=f"how, of {', '.join(list_mergers())} (may be repeated; default: all that the study's key merging asks of these cells)",
    )
    command.add_argument(
        "--surgery",
        type=rank_of_surgery,
        nargs="?",
        const=STUDYS_RANK,
        metavar="RANK",
        help="with Representation Surgery (default rank: the study's, 16)",
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="where it goes (default: a cell of the study)")


def _add_robustness(add: Add) -> None:
    corrupt = add("corrupt", _corrupt, "corrupt the test images of a dataset and keep them as PNG", "dataset")
    command = add("robustness", _robustness, "evaluate cells, or any other model, under all corruptions")
    tested = command.add_mutually_exclusive_group(required=True)
    tested.add_argument(
        "--cell", action="append", help="a trained cell (may be repeated: images are corrupted once for all)"
    )
    tested.add_argument(
        "--predictor", metavar="MODULE:FUNCTION", help="a function of yours: images (N, S, S, 3) in, scores or ids out"
    )
    tested.add_argument(
        "--predictions", type=Path, metavar="DIR", help="masks that you predicted on a copy by `corruptions apply`"
    )
    command.add_argument("--dataset", help="what a predictor is tested on")
    command.add_argument("--label", help="what tables call a predictor (default: its name)")
    command.add_argument("--out", type=Path, metavar="DIR", help="where a predictor's scores, tables and figures go")
    command.add_argument("--beside", action="store_true", help="show it beside the study's evaluated cells")
    for one in (corrupt, command):
        one.add_argument(
            "--workers",
            type=int,
            default=max(1, (os.cpu_count() or 1) - 1),
            help="processes that corrupt and measure beside this one, 0 for none (default: all cores but one)",
        )


def _add_verify(add: Add) -> None:
    command = add(
        "verify", _verify, "see whether results are what study, data and checkpoints give; ends with 1 if they are not"
    )
    command.add_argument("--cells", type=int, default=3, metavar="N", help="how many models answer again (default: 3)")
    command.add_argument("--cell", action="append", default=[], help="this one instead (may be repeated)")
    command.add_argument("--seed", type=int, default=0, help="draws those models, and the conditions (default: 0)")
    _add_workers(command)
    command.add_argument("--json", type=Path, metavar="PATH", help="write everything that was found as JSON as well")


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser], inputs: str) -> None:
    """The one command that needs no study: a checkpoint says what its model is."""
    text = "predict pictures and videos of your own with a trained model"
    command = commands.add_parser("predict", help=text, description=text)
    command.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="model.safetensors of a trained cell")
    command.add_argument(
        "inputs", type=Path, nargs=inputs, metavar="INPUT", help="pictures, videos, and folders to search for them"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="folder for masks, overlays and predictions.csv")
    command.add_argument(
        "--weights",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="file or folder with the frozen weights the checkpoint was trained on; found by their digest beside the "
        "checkpoint and in data/weights without it (may be repeated)",
    )
    command.add_argument(
        "--standalone",
        type=Path,
        metavar="FILE",
        help="write a checkpoint that holds these weights too, to send as one file",
    )
    command.add_argument("--batch-size", type=int, default=16, metavar="N", help="images at a time (default: 16)")
    command.add_argument("--every", type=int, default=1, metavar="N", help="of a video, each Nth frame (default: 1)")
    command.add_argument(
        "--half",
        action="store_true",
        help="run the model in bfloat16, for GPUs alone: faster, less exact (default: float32)",
    )
    command.add_argument("--no-overlays", action="store_true", help="write masks and predictions.csv alone")
    command.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote to DIR")
    command.set_defaults(run=_predict)


def _add_versions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What joins Snakemake and DVC; always of the study in params.yaml."""
    text = "make a study the one that `snakemake` and `dvc repro` run: write params.yaml and dvc.yaml"
    use = commands.add_parser("use", help=text, description=text)
    use.add_argument(
        "path", type=Path, metavar="STUDY", help="a study file, e.g. studies/paper.yaml; params.yaml itself"
    )
    use.add_argument("--check", action="store_true", help="write nothing; fail if dvc.yaml is not of params.yaml")
    use.set_defaults(run=_use)
    text = "after snakemake: give what it made to DVC, so that `dvc repro` runs nothing"
    commands.add_parser("record", help=text, description=text).set_defaults(run=_record)
    text = "after `dvc pull`: tell Snakemake that what was pulled is what it would make"
    commands.add_parser("restore", help=text, description=text).set_defaults(run=_restore)


def _use(arguments: argparse.Namespace) -> None:
    from pipeline.workflow.use_study import check_stages, use_study

    if arguments.check:
        check_stages()
        return
    count = use_study(arguments.path)
    print(f"params.yaml is {arguments.path}; dvc.yaml has its {count} stages.")


def _record(arguments: argparse.Namespace) -> None:
    from pipeline.workflow.record_restore import record

    print(f"{record()} stages recorded in dvc.lock. Commit it with results/*/cells/**/metrics.json, then `dvc push`.")


def _restore(arguments: argparse.Namespace) -> None:
    from pipeline.workflow.record_restore import restore

    restore()
    print("Everything is there: neither `snakemake` nor `dvc repro` has anything to do.")


def _merge(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.results.cell_state import failure_recorded

    request = read_request(study, arguments)
    with failure_recorded(study, *request.cells()):
        from pipeline.training.merge_models import merge_models

        for path in merge_models(study, request):
            print(path)
    listed = set(merged_cells(study))
    for cell in request.cells():
        if cell not in listed:
            print(
                f"{cell.id}: the study's key merging does not list it: tables leave it out, and `endoarss clean` takes it away."
            )


def _run(run: Run | str, arguments: argparse.Namespace) -> None:
    study = load_study(arguments.study)
    with at_work(study, arguments):
        if isinstance(run, str):
            resolve_name(run)(study)  # imported here, because some import torch and `--help` is asked for often
        else:
            run(study, arguments)


def _known_dataset(study: Study, name: str) -> str:
    if name not in study.datasets:
        raise InputError(f"study {study.name!r} has no dataset {name!r}; its datasets: {', '.join(study.datasets)}.")
    return name


def _doctor(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.io.files import write_json
    from pipeline.preparation.check_sources import check_sources, export_split
    from pipeline.preparation.doctor.show import show
    from pipeline.redaction import masked_content

    datasets = [_known_dataset(study, name) for name in arguments.dataset] or list(study.datasets)
    report = check_sources(study, datasets, arguments.deep, arguments.workers)
    print(masked(show(report)))
    if arguments.json:
        write_json(arguments.json, masked_content(report.as_dict()))
    if not report.usable:
        raise InputError("the raw trees cannot be used as they are; see above.")
    if arguments.export_split:
        count = export_split(study, arguments.export_split)
        print(f"{arguments.export_split}: the split of {count} frames.")


def _status(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.status.show_status import show_estimate, show_status, status_of

    if arguments.json:
        print(json.dumps(status_of(study).as_dict(), indent=2))
        return
    print(show_status(status_of(study), arguments.all))
    if arguments.estimate:
        print(f"\n{show_estimate(study)}")


def _clean(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.cleaning.clean_study import clean_study

    print(clean_study(study, arguments.yes, arguments.shared, arguments.results))


def _list(study: Study, arguments: argparse.Namespace) -> None:
    for kind, names in (
        ("backbones", list_backbones()),
        ("architectures", tuple(name for name in list_architectures() if name != MERGED)),
        ("weightings", list_weightings()),
        ("mergers", list_mergers()),
    ):
        print(f"{kind}: {', '.join(names)}")
    robust = set(robust_models(study))
    for title, cells in (("cells", trainings_of(study)), ("merged models", merged_cells(study))):
        if cells:
            print(f"{title} of study {study.name} ({len(cells)}):")
        for cell in cells:
            print(f"  {cell.id}{'  + robustness' if cell in robust else ''}")


def _generate(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.preparation.generate_raw import generate_raw

    generate_raw(study, arguments.tree)


def _build(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.preparation.build_dataset import build_dataset

    build_dataset(study, _known_dataset(study, arguments.dataset), arguments.workers, arguments.skip_bad)


def _pack(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.preparation.pack_dataset import pack_dataset

    pack_dataset(study, _known_dataset(study, arguments.dataset), arguments.workers)


def _train(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.results.cell_state import failure_recorded

    cell = find_cell(study, arguments.cell)
    if cell.merger:
        raise InputError(f"{cell.id} is merged, not trained: endoarss merge.")
    with failure_recorded(study, cell):
        from pipeline.training.train_cell import train_cell

        train_cell(study, cell)


def _evaluate(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.evaluation.evaluate_cell import evaluate_cell

    for cell in [find_cell(study, cell) for cell in dict.fromkeys(arguments.cell)]:
        check_made(study, cell)
        if arguments.again:
            from pipeline.evaluation.predict_cell import predict_cell
            from pipeline.results.checkpoints import load_cell

            evaluate_cell(study, cell, predict_cell(study, cell, load_cell(study, cell)))
        else:
            evaluate_cell(study, cell)


def _robustness(study: Study, arguments: argparse.Namespace) -> None:
    _check_workers(arguments)
    if "robustness" not in study.as_dict():
        raise InputError(f"study {study.name!r} has no key robustness; it says which corruptions and severities.")
    if arguments.cell:
        from pipeline.results.cell_state import robustness_failure_recorded

        for key in ("dataset", "label", "out", "beside"):
            if getattr(arguments, key):
                raise InputError(f"--{key}: is for --predictor and --predictions; a cell says it itself.")
        cells = [find_cell(study, cell) for cell in dict.fromkeys(arguments.cell)]
        for cell in cells:
            check_made(study, cell)
        with robustness_failure_recorded(study, cells):
            from pipeline.evaluation.evaluate_robustness import evaluate_robustness

            evaluate_robustness(study, cells, arguments.workers)
        return
    from pipeline.evaluation.external_model import ExternalModelRun, evaluate_predictions, evaluate_predictor
    from pipeline.reporting.external_model import compared_models, report_external_model

    dataset = _known_dataset(study, arguments.dataset or next(iter(study.datasets)))
    asked = ExternalModelRun(study, dataset, arguments.label, arguments.out, arguments.workers, arguments.beside)
    given = arguments.predictor
    compared = compared_models(asked)
    folder = evaluate_predictor(asked, given) if given else evaluate_predictions(asked, arguments.predictions)
    report_external_model(asked, folder, compared)
    print(f"{folder}: scores, tables and figures")


def _check_workers(arguments: argparse.Namespace) -> None:
    if arguments.workers < 0:
        raise InputError(f"--workers {arguments.workers}: expected 0 or more.")


def _corrupt(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.evaluation.corrupt_images import corrupt_images

    _check_workers(arguments)
    corrupt_images(study, _known_dataset(study, arguments.dataset), arguments.workers)


def _references(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.evaluation.score_references import score_references

    score_references(study, _known_dataset(study, arguments.dataset))


def _figures(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.reporting.figures.draw_figures import draw_figures

    for path in draw_figures(study, arguments.only):
        print(path)


def _paper(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.reporting.write_paper import compile_paper, write_paper

    print(write_paper(study))
    if arguments.pdf:
        print(compile_paper(study))


def _report(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.reporting.make_report import has_gaps, make_report

    if not arguments.if_gaps or has_gaps(study):
        make_report(study)


def _verify(study: Study, arguments: argparse.Namespace) -> None:
    from pipeline.io.files import write_json
    from pipeline.redaction import masked_content
    from pipeline.verify.verify_study import verify

    _check_workers(arguments)
    if arguments.cells < 0:
        raise InputError(f"--cells {arguments.cells}: expected 0 or more.")
    report = verify(study, arguments.cells, arguments.cell, arguments.seed, arguments.workers)
    print(masked(report.show()))
    if arguments.json:
        write_json(arguments.json, masked_content(report.as_dict()))
    if report.failures:
        raise InputError(f"study {study.name!r}: not what it should be: {report.failures} found, see above.")


def _predict(arguments: argparse.Namespace) -> None:
    if arguments.standalone:
        from pipeline.results.checkpoints import write_standalone

        write_standalone(arguments.checkpoint, arguments.standalone, arguments.weights)
        print(f"{arguments.standalone}: the checkpoint with its frozen weights; it needs no other file.")
        if not arguments.inputs and not arguments.out:
            return
    if not arguments.inputs or not arguments.out:
        raise InputError("predict needs at least one INPUT and --out DIR, or --standalone FILE alone.")
    from pipeline.inference.predict_files import predict_files

    predict_files(
        arguments.checkpoint,
        arguments.inputs,
        arguments.out,
        arguments.batch_size,
        arguments.every,
        not arguments.no_overlays,
        arguments.overwrite,
        arguments.weights,
        arguments.half,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Messages, tracebacks and the command that provenance keeps are without secrets.

    Returns:
        0 if it succeeded; 1, with a message on standard error, if what a user gave cannot be used, or the system refuses a file; 130
        if Ctrl-C ended it; 141 if nobody reads any more what it says.
    """
    mask_tracebacks()
    note_command(["endoarss", *(sys.argv[1:] if arguments is None else arguments)])
    use_one_thread_in_opencv()
    parsed = _parser("--standalone" in (sys.argv if arguments is None else arguments)).parse_args(arguments)
    try:
        parsed.run(parsed)
        sys.stdout.flush()
    except (InputError, SettingsError, TrainingError, CorruptionError, ResultsError) as error:
        print(masked(f"endoarss {parsed.command}: {error}"), file=sys.stderr)
        return 1
    except OSError as error:
        if reader_is_gone(error):
            return READER_GONE
        said = explained(error, missing="Run the steps before this one, or snakemake.")
        print(masked(f"endoarss {parsed.command}: {said}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # what a shell says of a command that Ctrl-C ended
    return 0


if __name__ == "__main__":
    sys.exit(main())
