# One training a cell, its evaluations included; robustness of the cells that the study names.

CELL = study.results / "cells/{cell}"


def cell_data(wildcards):
    """Every dataset that a cell is trained or tested on."""
    cell = CELLS[wildcards.cell]
    return [path for dataset in study.evaluated_on(cell.dataset) for path in layout.dataset_files(study, dataset)]


def cell_weights(wildcards):
    """The file of pretrained weights, where the cell's backbone has one."""
    file = study.weights_file(CELLS[wildcards.cell].backbone)
    return [file] if file else []


rule train:
    input:
        data=cell_data,
        weights=cell_weights,
        code=lambda wildcards: LEARNING_CODE
        + component_code(CELLS[wildcards.cell])
        + code("pipeline/steps/train_cell.py"),
    output:
        CELL / "model.safetensors",
        CELL / "history.csv",
        CELL / "provenance.json",
        directory(CELL / "eval"),
    params:
        settings=lambda wildcards: json.dumps(study.cell_settings(CELLS[wildcards.cell]), sort_keys=True),
    log:
        LOGS / "train/{cell}.log",
    benchmark:
        BENCHMARKS / "train/{cell}.tsv"
    resources:
        gpu=GPU,
    conda:
        CONDA
    shell:
        "{STEP} train --study {STUDY} --cell {wildcards.cell} > {log} 2>&1"


rule robustness:
    input:
        checkpoint=CELL / "model.safetensors",
        data=lambda wildcards: layout.dataset_files(study, CELLS[wildcards.cell].dataset),
        code=LEARNING_CODE + code("corruptions/*.py", "pipeline/steps/evaluate_robustness.py"),
    output:
        CELL / "robustness/metrics.json",
        CELL / "robustness/per_image.parquet",
    params:
        settings=json.dumps(study.settings.get("robustness"), sort_keys=True),
        input_size=study.settings["input_size"],
    log:
        LOGS / "robustness/{cell}.log",
    benchmark:
        BENCHMARKS / "robustness/{cell}.tsv"
    resources:
        gpu=GPU,
    priority: 5
    conda:
        CONDA
    shell:
        "{STEP} robustness --study {STUDY} --cell {wildcards.cell} > {log} 2>&1"
