# Train and score the cells, merge single-task models, and evaluate the robustness of the models that the study selects.

CELL = results_folder(study) / StudyOutput.CELLS / "{cell}"
EVALUATED = f"{CellOutput.ROWS}/done.json"
ROBUST = f"{CellOutput.ROBUSTNESS}/done.json"
ROBUST_OR_MERGED = {*robust_models(study), *(single for group in GROUPS.values() for single in group.singles)}


rule train_cell:
    input:
        lambda wildcards: from_results(RESULTS.train_cell(CELLS[wildcards.cell])),
    output:
        CELL / "done.json",
    log:
        LOGS / "train_cell/{cell}.log",
    benchmark:
        BENCHMARKS / "train_cell/{cell}.tsv"
    # Trainings with long chains of jobs after them start first, so that a run does not end with one long job.
    priority: lambda wildcards: 4 if CELLS[wildcards.cell] in ROBUST_OR_MERGED else 1
    resources:
        **needs(16000, 1440),
        gpu=GPU,
    shell:
        "python -m pipeline.cli train --if-stale --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


rule evaluate_cell:
    input:
        lambda wildcards: from_results(RESULTS.evaluate_cell(CELLS[wildcards.cell])),
    output:
        CELL / EVALUATED,
    log:
        LOGS / "evaluate_cell/{cell}.log",
    benchmark:
        BENCHMARKS / "evaluate_cell/{cell}.tsv"
    priority: 2
    resources:
        **needs(4000, 60),
    shell:
        "python -m pipeline.cli evaluate --if-stale --study {resources.study} --cell {wildcards.cell} > {log} 2>&1"


if keeps_corrupted(study):

    rule corrupt_images:
        input:
            lambda wildcards: from_results(RESULTS.corrupt_images(wildcards.dataset)),
        output:
            paths.corrupted_done_file(study, "{dataset}").with_name("done.json"),
        log:
            LOGS / "corrupt_images/{dataset}.log",
        benchmark:
            BENCHMARKS / "corrupt_images/{dataset}.tsv"
        threads: workflow.cores or 1
        resources:
            **needs(8000, 240),
        shell:
            "python -m pipeline.cli step corrupt_images --if-stale --study {resources.study}"
            " --dataset {wildcards.dataset} --workers {threads} > {log} 2>&1"


ON_TEST = "-on_test" if study.merging and study.merging.unlabelled == "test" else ""

if GROUPS:

    rule merge_models:
        input:
            lambda wildcards: from_results(
                *map(RESULTS.merge_models, group_of(wildcards).merged),
                RESULTS.represent_group(group_of(wildcards)),
            ),
        output:
            of_group(lambda group: group.merged, "done.json"),
            results_folder(study) / StudyOutput.MERGING / f"{{pair}}/{{trained}}{ON_TEST}" / "done.json",
        log:
            LOGS / "merge_models/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "merge_models/{pair}/{trained}.tsv"
        priority: 6
        resources:
            **needs(24000, 240),
            gpu=GPU,
        params:
            models=lambda wildcards: " ".join(cell.id for cell in group_of(wildcards).singles),
        shell:
            "python -m pipeline.cli merge {params.models} --if-stale --study {resources.study} > {log} 2>&1"

    rule evaluate_merged_cells:
        input:
            lambda wildcards: from_results(*map(RESULTS.evaluate_cell, group_of(wildcards).merged)),
        output:
            of_group(lambda group: group.merged, EVALUATED),
        log:
            LOGS / "evaluate_merged_cells/{pair}/{trained}.log",
        benchmark:
            BENCHMARKS / "evaluate_merged_cells/{pair}/{trained}.tsv"
        resources:
            **needs(4000, 60),
        params:
            cells=lambda wildcards: " ".join(f"--cell {cell.id}" for cell in group_of(wildcards).merged),
        shell:
            "python -m pipeline.cli evaluate --if-stale --study {resources.study} {params.cells} > {log} 2>&1"


TOGETHER = [cell for group in GROUPS.values() for cell in robust_together(study, group)]

if TOGETHER:

    # One job evaluates the single-task and merged models of a group, so that images are corrupted once for all of them.
    rule evaluate_merged_robustness:
        input:
            lambda wildcards: from_results(
                *map(RESULTS.evaluate_robustness, robust_together(study, group_of(wildcards)))
            ),
        output:
            of_group(lambda group: robust_together(study, group), ROBUST),
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
            cells=lambda wildcards: " ".join(
                f"--cell {cell.id}" for cell in robust_together(study, group_of(wildcards))
            ),
        shell:
            "python -m pipeline.cli robustness --if-stale --study {resources.study} {params.cells}"
            " --workers $(({threads} - 1)) > {log} 2>&1"


rule evaluate_robustness:
    input:
        lambda wildcards: from_results(RESULTS.evaluate_robustness(CELLS[wildcards.cell])),
    output:
        CELL / ROBUST,
    log:
        LOGS / "evaluate_robustness/{cell}.log",
    benchmark:
        BENCHMARKS / "evaluate_robustness/{cell}.tsv"
    wildcard_constraints:
        cell=one_of(cell.id for cell in robust_models(study) if cell not in TOGETHER),
    priority: 5
    # One core runs the model, the others corrupt and measure. A job uses at most half of the cores, so that other jobs can run too.
    threads: max(1, min(8, (workflow.cores or 1) // 2))
    resources:
        **needs(16000, 720),
        gpu=GPU,
    shell:
        "python -m pipeline.cli robustness --if-stale --study {resources.study} --cell {wildcards.cell}"
        " --workers $(({threads} - 1)) > {log} 2>&1"
