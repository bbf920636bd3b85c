# One training a cell, its scores, what is merged of trainings, and the robustness of the models that the study names.

CELL = results_folder(study) / StudyOutput.CELLS / "{cell}"


rule train:
    input:
        data=cell_data,
        weights=lambda wildcards: weights_of(CELLS[wildcards.cell].backbone),
        code=lambda wildcards: LEARNING_CODE
        + component_code(CELLS[wildcards.cell])
        + scoring_code(CELLS[wildcards.cell])
        + code(
            "pipeline/datasets/preprocessing.py",
            "pipeline/results/predictions.py",
            "pipeline/training/model_settings.py",
            "pipeline/evaluation/predict_cell.py",
            "pipeline/training/train_cell.py",
        ),
    output:
        CELL / CellOutput.CHECKPOINT,
        CELL / CellOutput.HISTORY,
        CELL / CellOutput.PROVENANCE,
        directory(CELL / CellOutput.PREDICTIONS),
    log:
        LOGS / "train/{cell}.log",
    benchmark:
        BENCHMARKS / "train/{cell}.tsv"
    conda:
        CONDA
    resources:
        **needs(16000, 1440),
        gpu=GPU,
    params:
        settings=lambda wildcards: json.dumps(cell_settings(study, CELLS[wildcards.cell]), sort_keys=True),
    shell:
        "python -m pipeline.cli train --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


rule evaluate:
    input:
        predictions=CELL / CellOutput.PREDICTIONS,
        data=cell_data,
        code=EVALUATION_CODE,
    output:
        CELL / CellOutput.METRICS,
        directory(CELL / CellOutput.ROWS),
    log:
        LOGS / "evaluate/{cell}.log",
    benchmark:
        BENCHMARKS / "evaluate/{cell}.tsv"
    conda:
        CONDA
    resources:
        **needs(4000, 60),
    shell:
        "python -m pipeline.cli evaluate --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


if keeps_corrupted(study):

    rule corrupt_images:
        input:
            data=lambda wildcards: loaded_files(wildcards.dataset),
            code=CORRUPTION_CODE + code("pipeline/evaluation/corrupt_images.py"),
        output:
            paths.corrupted_mark(study, "{dataset}"),
        log:
            LOGS / "corrupt_images/{dataset}.log",
        benchmark:
            BENCHMARKS / "corrupt_images/{dataset}.tsv"
        conda:
            CONDA
        threads: workflow.cores or 1
        resources:
            **needs(8000, 240),
        params:
            settings=json.dumps(conditions_of(study).as_dict(), sort_keys=True),
            input_size=study.input_size,
        shell:
            "python -m pipeline.cli corrupt --study {resources.study} --dataset {wildcards.dataset}"
            " --workers {threads} > {log} 2>&1"


ON_TEST = "-on_test" if merging_of(study).unlabelled == "test" else ""

if GROUPS:

    rule merge:
        input:
            checkpoints=lambda wildcards: [
                cell_folder(study, cell) / CellOutput.CHECKPOINT for cell in group_of(wildcards).singles
            ],
            data=group_data,
            weights=lambda wildcards: weights_of(group_of(wildcards).singles[0].backbone),
            code=lambda wildcards: LEARNING_CODE
            + SCORING_CODE
            + group_code(wildcards)
            + own_code(path for path in MERGERS.files().values() if not path.is_relative_to(BASE / "endoarss"))
            + code(
                "endoarss/merging/*.py",
                "pipeline/training/merge_request.py",
                "pipeline/results/predictions.py",
                "pipeline/training/merge_models.py",
                "pipeline/evaluation/predict_cell.py",
            ),
        output:
            of_group(lambda group: group.merged, CellOutput.CHECKPOINT, CellOutput.PROVENANCE),
            [directory(path) for path in of_group(lambda group: group.merged, CellOutput.PREDICTIONS)],
            representations=results_folder(study)
            / StudyOutput.MERGING
            / f"{{pair}}/{{trained}}{ON_TEST}"
            / paths.REPRESENTATIONS,
        log:
            LOGS / "merge/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "merge/{pair}/{trained}.tsv"
        priority: 6
        conda:
            CONDA
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

    rule evaluate_merged:
        input:
            predictions=of_group(lambda group: group.merged, CellOutput.PREDICTIONS),
            data=group_data,
            code=EVALUATION_CODE,
        output:
            of_group(lambda group: group.merged, CellOutput.METRICS),
            [directory(path) for path in of_group(lambda group: group.merged, CellOutput.ROWS)],
        log:
            LOGS / "evaluate_merged/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "evaluate_merged/{pair}/{trained}.tsv"
        conda:
            CONDA
        resources:
            **needs(4000, 60),
        params:
            cells=lambda wildcards: " ".join(f"--cell {cell.id}" for cell in group_of(wildcards).merged),
        shell:
            "python -m pipeline.cli evaluate --study {resources.study} {params.cells} > {log} 2>&1"


ROBUSTNESS_CODE = (
    MEASURING_CODE
    + CORRUPTION_CODE
    + code(
        "pipeline/results/gallery*.py",
        "pipeline/evaluation/robustness.py",
        "pipeline/io/processes.py",
        "pipeline/evaluation/evaluate_robustness.py",
    )
)
TOGETHER = [cell for group in GROUPS.values() for cell in robust_together(study, group)]

if TOGETHER:

    # Single and merged models of a group: images are corrupted once for all.
    rule robustness_merged:
        input:
            checkpoints=of_group(partial(robust_together, study), CellOutput.CHECKPOINT),
            data=lambda wildcards: loaded_files(group_of(wildcards).singles[0].dataset),
            corrupted=lambda wildcards: kept_images(group_of(wildcards).singles[0].dataset),
            code=lambda wildcards: LEARNING_CODE
            + ROBUSTNESS_CODE
            + group_code(wildcards)
            + code("endoarss/merging/surgery.py"),
        output:
            of_group(
                partial(robust_together, study),
                *(f"{CellOutput.ROBUSTNESS}/{name}" for name in paths.ROBUSTNESS_NAMES),
            ),
        log:
            LOGS / "robustness_merged/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "robustness_merged/{pair}/{trained}.tsv"
        priority: 5
        conda:
            CONDA
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


rule robustness:
    input:
        checkpoint=CELL / CellOutput.CHECKPOINT,
        data=lambda wildcards: loaded_files(CELLS[wildcards.cell].dataset),
        corrupted=lambda wildcards: kept_images(CELLS[wildcards.cell].dataset),
        code=lambda wildcards: LEARNING_CODE + component_code(CELLS[wildcards.cell]) + ROBUSTNESS_CODE,
    output:
        [CELL / CellOutput.ROBUSTNESS / name for name in paths.ROBUSTNESS_NAMES],
    log:
        LOGS / "robustness/{cell}.log",
    benchmark:
        BENCHMARKS / "robustness/{cell}.tsv"
    wildcard_constraints:
        cell=one_of(cell.id for cell in robust_models(study) if cell not in TOGETHER),
    priority: 5
    conda:
        CONDA
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
