# One training a cell, its scores, what is merged of trainings, and the robustness of the models that the study names.

CELL = results_folder(study) / StudyOutput.CELLS / "{cell}"


rule train_cell:
    input:
        data=cell_data,
        weights=lambda wildcards: weights_of(CELLS[wildcards.cell].backbone),
        code=lambda wildcards: code_of_cells("pipeline.training.train_cell", study, CELLS[wildcards.cell]),
    output:
        CELL / CellOutput.CHECKPOINT,
        CELL / CellOutput.HISTORY,
        CELL / CellOutput.PROVENANCE,
        directory(CELL / CellOutput.PREDICTIONS),
    log:
        LOGS / "train_cell/{cell}.log",
    benchmark:
        BENCHMARKS / "train_cell/{cell}.tsv"
    resources:
        **needs(16000, 1440),
        gpu=GPU,
    params:
        settings=lambda wildcards: json.dumps(cell_settings(study, CELLS[wildcards.cell]), sort_keys=True),
    shell:
        "python -m pipeline.cli train --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


rule evaluate_cell:
    input:
        predictions=CELL / CellOutput.PREDICTIONS,
        data=cell_data,
        code=code_of("pipeline.evaluation.evaluate_cell"),
    output:
        CELL / CellOutput.METRICS,
        directory(CELL / CellOutput.ROWS),
    log:
        LOGS / "evaluate_cell/{cell}.log",
    benchmark:
        BENCHMARKS / "evaluate_cell/{cell}.tsv"
    resources:
        **needs(4000, 60),
    shell:
        "python -m pipeline.cli evaluate --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


if keeps_corrupted(study):

    rule corrupt_images:
        input:
            data=lambda wildcards: loaded_files(wildcards.dataset),
            code=code_of("pipeline.evaluation.corrupt_images"),
        output:
            paths.corrupted_mark(study, "{dataset}"),
        log:
            LOGS / "corrupt_images/{dataset}.log",
        benchmark:
            BENCHMARKS / "corrupt_images/{dataset}.tsv"
        threads: workflow.cores or 1
        resources:
            **needs(8000, 240),
        params:
            settings=json.dumps(conditions_of(study).as_dict(), sort_keys=True),
            input_size=study.input_size,
        shell:
            "python -m pipeline.cli step corrupt_images --study {resources.study} --dataset {wildcards.dataset}"
            " --workers {threads} > {log} 2>&1"


ON_TEST = "-on_test" if merging_of(study).unlabelled == "test" else ""

if GROUPS:

    rule merge_models:
        input:
            checkpoints=lambda wildcards: [
                cell_folder(study, cell) / CellOutput.CHECKPOINT for cell in group_of(wildcards).singles
            ],
            data=group_data,
            weights=lambda wildcards: weights_of(group_of(wildcards).singles[0].backbone),
            code=lambda wildcards: code_of_cells(
                "pipeline.training.merge_models", study, *group_of(wildcards).singles, *group_of(wildcards).merged
            ),
        output:
            of_group(lambda group: group.merged, CellOutput.CHECKPOINT, CellOutput.PROVENANCE),
            [directory(path) for path in of_group(lambda group: group.merged, CellOutput.PREDICTIONS)],
            representations=results_folder(study)
            / StudyOutput.MERGING
            / f"{{pair}}/{{trained}}{ON_TEST}"
            / paths.REPRESENTATIONS,
        log:
            LOGS / "merge_models/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "merge_models/{pair}/{trained}.tsv"
        priority: 6
        resources:
            **needs(24000, 240),
            gpu=GPU,
        params:
            settings=lambda wildcards: [
                json.dumps(cell_settings(study, cell), sort_keys=True) for cell in group_of(wildcards).merged
            ],
            models=lambda wildcards: " ".join(cell.id for cell in group_of(wildcards).singles),
        shell:
            "python -m pipeline.cli merge {params.models} --study {resources.study} > {log} 2>&1"

    rule evaluate_merged_cells:
        input:
            predictions=of_group(lambda group: group.merged, CellOutput.PREDICTIONS),
            data=group_data,
            code=code_of("pipeline.evaluation.evaluate_cell"),
        output:
            of_group(lambda group: group.merged, CellOutput.METRICS),
            [directory(path) for path in of_group(lambda group: group.merged, CellOutput.ROWS)],
        log:
            LOGS / "evaluate_merged_cells/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "evaluate_merged_cells/{pair}/{trained}.tsv"
        resources:
            **needs(4000, 60),
        params:
            cells=lambda wildcards: " ".join(f"--cell {cell.id}" for cell in group_of(wildcards).merged),
        shell:
            "python -m pipeline.cli evaluate --study {resources.study} {params.cells} > {log} 2>&1"


ROBUSTNESS_STEP = "pipeline.evaluation.evaluate_robustness"
TOGETHER = [cell for group in GROUPS.values() for cell in robust_together(study, group)]

if TOGETHER:

    # Single and merged models of a group: images are corrupted once for all.
    rule evaluate_merged_robustness:
        input:
            checkpoints=of_group(partial(robust_together, study), CellOutput.CHECKPOINT),
            data=lambda wildcards: loaded_files(group_of(wildcards).singles[0].dataset),
            corrupted=lambda wildcards: kept_images(group_of(wildcards).singles[0].dataset),
            code=lambda wildcards: code_of_cells(ROBUSTNESS_STEP, study, *robust_together(study, group_of(wildcards))),
        output:
            of_group(
                partial(robust_together, study),
                *(f"{CellOutput.ROBUSTNESS}/{name}" for name in paths.ROBUSTNESS_NAMES),
            ),
        log:
            LOGS / "evaluate_merged_robustness/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "evaluate_merged_robustness/{pair}/{trained}.tsv"
        priority: 5
        threads: max(1, min(8, (workflow.cores or 1) // 2))
        resources:
            **needs(16000, 1440),
            gpu=GPU,
        params:
            settings=json.dumps(conditions_of(study).as_dict(), sort_keys=True),
            input_size=study.input_size,
            cells=lambda wildcards: " ".join(
                f"--cell {cell.id}" for cell in robust_together(study, group_of(wildcards))
            ),
        shell:
            "python -m pipeline.cli robustness --study {resources.study} {params.cells}"
            " --workers $(({threads} - 1)) > {log} 2>&1"


rule evaluate_robustness:
    input:
        checkpoint=CELL / CellOutput.CHECKPOINT,
        data=lambda wildcards: loaded_files(CELLS[wildcards.cell].dataset),
        corrupted=lambda wildcards: kept_images(CELLS[wildcards.cell].dataset),
        code=lambda wildcards: code_of_cells(ROBUSTNESS_STEP, study, CELLS[wildcards.cell]),
    output:
        [CELL / CellOutput.ROBUSTNESS / name for name in paths.ROBUSTNESS_NAMES],
    log:
        LOGS / "evaluate_robustness/{cell}.log",
    benchmark:
        BENCHMARKS / "evaluate_robustness/{cell}.tsv"
    wildcard_constraints:
        cell=one_of(cell.id for cell in robust_models(study) if cell not in TOGETHER),
    priority: 5
    # One for the model, the others corrupt and measure; on few cores other cells run beside it instead.
    threads: max(1, min(8, (workflow.cores or 1) // 2))
    resources:
        **needs(16000, 720),
        gpu=GPU,
    params:
        settings=json.dumps(conditions_of(study).as_dict(), sort_keys=True),
        input_size=study.input_size,
    shell:
        "python -m pipeline.cli robustness --study {resources.study} --cell {wildcards.cell}"
        " --workers $(({threads} - 1)) > {log} 2>&1"
