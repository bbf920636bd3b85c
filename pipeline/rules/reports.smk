# Scores that need no model, the long result table, and what people read.


rule score_references:
    input:
        data=lambda wildcards: [
            path
            for dataset in dict.fromkeys([wildcards.dataset, GENERALISATION.get(wildcards.dataset, wildcards.dataset)])
            for path in loaded_files(dataset)
        ],
        code=code_of("pipeline.evaluation.score_references"),
    output:
        directory(paths.reference_folder(study, "{dataset}")),
    log:
        LOGS / "score_references/{dataset}.log",
    benchmark:
        BENCHMARKS / "score_references/{dataset}.tsv"
    resources:
        **needs(4000, 60),
    params:
        input_size=study.input_size,
    shell:
        "python -m pipeline.cli step score_references --study {resources.study} --dataset {wildcards.dataset} > {log} 2>&1"


rule collect_results:
    input:
        cells=[cell_folder(study, cell) / CellOutput.ROWS for cell in models_of(study)],
        provenance=[cell_folder(study, cell) / CellOutput.PROVENANCE for cell in models_of(study)],
        robustness=[paths.robustness_files(study, cell)[1] for cell in robust_models(study)],
        references=[paths.reference_folder(study, dataset) for dataset in REPORTED],
        data=DATA_OF_STUDY,
        code=code_of_study("pipeline.evaluation.collect_results"),
    output:
        paths.results_file(study),
        paths.results_provenance_file(study),
    log:
        LOGS / "collect_results.log",
    benchmark:
        BENCHMARKS / "collect_results.tsv"
    resources:
        **needs(4000, 60),
    params:
        labels={name: backbone.label for name, backbone in study.backbones.items()},
        protocol=study.protocol,
    shell:
        "python -m pipeline.cli step collect_results --study {resources.study} > {log} 2>&1"


rule draw_datasets:
    input:
        data=DATA_OF_STUDY,
        code=code_of_study("pipeline.reporting.figures.draw_datasets"),
    output:
        paths.dataset_figures(study),
    log:
        LOGS / "draw_datasets.log",
    benchmark:
        BENCHMARKS / "draw_datasets.tsv"
    resources:
        **needs(4000, 60),
    shell:
        "python -m pipeline.cli step draw_datasets --study {resources.study} > {log} 2>&1"


if leakage_datasets(study):

    rule draw_leakage:
        input:
            data=[path for dataset in leakage_datasets(study) for path in loaded_files(dataset)],
            code=code_of_study("pipeline.reporting.figures.draw_datasets"),
        output:
            paths.similarity_file(study),
            paths.leakage_figures(study),
        log:
            LOGS / "draw_leakage.log",
        benchmark:
            BENCHMARKS / "draw_leakage.tsv"
        resources:
            **needs(4000, 60),
        params:
            input_size=study.input_size,
        shell:
            "python -m pipeline.cli step draw_leakage --study {resources.study} > {log} 2>&1"


# What robustness is reported from: one row an image and condition of every evaluated cell.
ROBUSTNESS = [path for cell in robust_models(study) for path in paths.robustness_files(study, cell)[1:]]


rule make_tables:
    input:
        paths.results_file(study),
        evaluations=[cell_folder(study, cell) / CellOutput.ROWS for cell in models_of(study)],
        histories=[paths.history_file(study, cell) for cell in trainings_of(study)],
        references=[paths.reference_folder(study, dataset) for dataset in REPORTED],
        provenance=[cell_folder(study, cell) / CellOutput.PROVENANCE for cell in models_of(study)],
        similarity=[paths.similarity_file(study)] if leakage_datasets(study) else [],
        robustness=ROBUSTNESS,
        data=DATA_OF_STUDY,
        code=code_of_study("pipeline.reporting.tables.make_tables"),
    output:
        paths.table_files(study),
        paths.note_file(study),
    log:
        LOGS / "make_tables.log",
    benchmark:
        BENCHMARKS / "make_tables.tsv"
    resources:
        **needs(8000, 60),
    params:
        baseline=BASELINE,
        chosen=CHOSEN,
        merging=MERGING,
    shell:
        "python -m pipeline.cli step make_tables --study {resources.study} > {log} 2>&1"


rule draw_figures:
    input:
        paths.results_file(study),
        evaluations=[cell_folder(study, cell) / CellOutput.ROWS for cell in models_of(study)],
        provenance=[cell_folder(study, cell) / CellOutput.PROVENANCE for cell in models_of(study)],
        histories=[paths.history_file(study, cell) for cell in trainings_of(study)],
        robustness=ROBUSTNESS,
        representations=[paths.representations_file(study, group) for group in merging_groups(study)],
        predictions=[cell_folder(study, cell) / CellOutput.PREDICTIONS for cell in trainings_of(study)],
        images=[path for dataset in REPORTED for path in loaded_files(dataset)],
        data=DATA_OF_STUDY,
        code=code_of_study("pipeline.reporting.figures.draw_figures"),
    output:
        [path for files in paths.result_figures(study).values() for path in files],
    log:
        LOGS / "draw_figures.log",
    benchmark:
        BENCHMARKS / "draw_figures.tsv"
    resources:
        **needs(8000, 60),
    params:
        baseline=BASELINE,
        chosen=CHOSEN,
        merging=MERGING,
    shell:
        "python -m pipeline.cli step draw_figures --study {resources.study} > {log} 2>&1"


rule make_page:
    input:
        paths.results_file(study),
        paths.figure_files(study),
        provenance=[cell_folder(study, cell) / CellOutput.PROVENANCE for cell in models_of(study)],
        histories=[paths.history_file(study, cell) for cell in trainings_of(study)],
        robustness=ROBUSTNESS,
        tables=paths.table_files(study),
        images=[path for dataset in REPORTED for path in loaded_files(dataset)],
        data=DATA_OF_STUDY,
        code=code_of_study("pipeline.reporting.make_page"),
        similarity=[paths.similarity_file(study)] if leakage_datasets(study) else [],
    output:
        paths.report_file(study),
    log:
        LOGS / "make_page.log",
    benchmark:
        BENCHMARKS / "make_page.tsv"
    resources:
        **needs(8000, 60),
    params:
        title=study.title,
        baseline=BASELINE,
        chosen=CHOSEN,
        merging=MERGING,
    shell:
        "python -m pipeline.cli step make_page --study {resources.study} > {log} 2>&1"


rule write_paper:
    input:
        paths.results_file(study),
        tables=paths.table_files(study),
        figures=paths.figure_files(study),
        provenance=[cell_folder(study, cell) / CellOutput.PROVENANCE for cell in models_of(study)],
        data=DATA_OF_STUDY,
        code=code_of_study("pipeline.reporting.write_paper"),
    output:
        paths.paper_file(study),
    log:
        LOGS / "write_paper.log",
    benchmark:
        BENCHMARKS / "write_paper.tsv"
    resources:
        **needs(4000, 30),
    params:
        title=study.title,
        chosen=CHOSEN,
    shell:
        "python -m pipeline.cli step write_paper --study {resources.study} > {log} 2>&1"


# Not part of `all`, for it needs pdflatex: snakemake compile_paper.
rule compile_paper:
    input:
        paths.paper_file(study),
        tables=paths.table_files(study),
        figures=paths.figure_files(study),
    output:
        paths.paper_pdf(study),
    log:
        LOGS / "compile_paper.log",
    benchmark:
        BENCHMARKS / "compile_paper.tsv"
    resources:
        **needs(2000, 30),
    shell:
        "python -m pipeline.cli step compile_paper --study {resources.study} > {log} 2>&1"
