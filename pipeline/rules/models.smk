# One training a cell, its evaluations included; robustness of the cells that the study names.

CELL = study.results / "cells/{cell}"


rule train:
    input:
        data=cell_data,
        weights=cell_weights,
        code=lambda wildcards: LEARNING_CODE
        + component_code(CELLS[wildcards.cell])
        + code("pipeline/steps/train_cell.py", "pipeline/steps/cell_model.py", "pipeline/steps/evaluate_cell.py"),
    output:
        CELL / "model.safetensors",
        CELL / "history.csv",
        CELL / "provenance.json",
        directory(CELL / "eval"),
    log:
        LOGS / "train/{cell}.log",
    benchmark:
        BENCHMARKS / "train/{cell}.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        gpu=GPU,
    params:
        settings=lambda wildcards: json.dumps(study.cell_settings(CELLS[wildcards.cell]), sort_keys=True),
    shell:
        "python -m pipeline.cli train --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


if study.keeps_corrupted:

    rule corrupt_images:
        input:
            data=lambda wildcards: loaded_files(wildcards.dataset),
            code=CORRUPTION_CODE + code("pipeline/steps/keep_corrupted.py"),
        output:
            layout.corrupted_mark(study, "{dataset}"),
        log:
            LOGS / "corrupt_images/{dataset}.log",
        benchmark:
            BENCHMARKS / "corrupt_images/{dataset}.tsv"
        conda:
            CONDA
        threads: workflow.cores or 1
        resources:
            study=STUDY,
        params:
            settings=json.dumps(study.robustness_settings(), sort_keys=True),
            input_size=study.settings["input_size"],
        shell:
            "python -m pipeline.cli corrupt --study {resources.study} --dataset {wildcards.dataset}"
            " --workers {threads} > {log} 2>&1"


rule robustness:
    input:
        checkpoint=CELL / "model.safetensors",
        data=lambda wildcards: loaded_files(CELLS[wildcards.cell].dataset),
        corrupted=kept_images,
        code=LEARNING_CODE
        + CORRUPTION_CODE
        + code(
            "pipeline/gallery.py",
            "pipeline/robustness.py",
            "pipeline/parallel.py",
            "pipeline/steps/evaluate_robustness.py",
        ),
    output:
        CELL / "robustness/metrics.json",
        CELL / "robustness/per_image.parquet",
        CELL / "robustness/provenance.json",
        CELL / "robustness/gallery.npz",
    log:
        LOGS / "robustness/{cell}.log",
    benchmark:
        BENCHMARKS / "robustness/{cell}.tsv"
    priority: 5
    conda:
        CONDA
    # One for the model, the others corrupt and measure; on few cores other cells run beside it instead.
    threads: max(1, min(8, (workflow.cores or 1) // 2))
    resources:
        study=STUDY,
        gpu=GPU,
    params:
        settings=json.dumps(study.robustness_settings(), sort_keys=True),
        input_size=study.settings["input_size"],
    shell:
        "python -m pipeline.cli robustness --study {resources.study} --cell {wildcards.cell}"
        " --workers $(({threads} - 1)) > {log} 2>&1"
