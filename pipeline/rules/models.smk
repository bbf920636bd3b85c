# One training a cell, its scores, and the robustness of the cells that the study names.

CELL = study.results / "cells/{cell}"


rule train:
    input:
        data=cell_data,
        weights=cell_weights,
        code=lambda wildcards: LEARNING_CODE
        + component_code(CELLS[wildcards.cell])
        + (SCORING_CODE if SCORES_EPOCHS else [])
        + code(
            "pipeline/predictions.py",
            "pipeline/steps/cell_model.py",
            "pipeline/steps/predict_cell.py",
            "pipeline/steps/train_cell.py",
        ),
    output:
        CELL / "model.safetensors",
        CELL / "history.csv",
        CELL / "provenance.json",
        directory(CELL / "predictions"),
    log:
        LOGS / "train/{cell}.log",
    benchmark:
        BENCHMARKS / "train/{cell}.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(16000),
        runtime=1440,
        gpu=GPU,
    params:
        settings=lambda wildcards: json.dumps(study.cell_settings(CELLS[wildcards.cell]), sort_keys=True),
    shell:
        "python -m pipeline.cli train --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


rule evaluate:
    input:
        predictions=CELL / "predictions",
        data=cell_data,
        code=METRICS_CODE
        + LOADING_CODE
        + code("pipeline/measure.py", "pipeline/predictions.py", "pipeline/steps/evaluate_cell.py"),
    output:
        CELL / "metrics.json",
        directory(CELL / "eval"),
    log:
        LOGS / "evaluate/{cell}.log",
    benchmark:
        BENCHMARKS / "evaluate/{cell}.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(4000),
        runtime=60,
    shell:
        "python -m pipeline.cli evaluate --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


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
            mem_mb=growing(8000),
            runtime=240,
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
        code=lambda wildcards: LEARNING_CODE
        + component_code(CELLS[wildcards.cell])
        + METRICS_CODE
        + CORRUPTION_CODE
        + code(
            "pipeline/gallery.py",
            "pipeline/measure.py",
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
        mem_mb=growing(16000),
        runtime=720,
        gpu=GPU,
    params:
        settings=json.dumps(study.robustness_settings(), sort_keys=True),
        input_size=study.settings["input_size"],
    shell:
        "python -m pipeline.cli robustness --study {resources.study} --cell {wildcards.cell}"
        " --workers $(({threads} - 1)) > {log} 2>&1"
