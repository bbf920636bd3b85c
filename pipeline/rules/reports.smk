# Scores that need no model, the long result table, and what people read.


rule score_references:
    input:
        data=lambda wildcards: [
            path
            for dataset in dict.fromkeys([wildcards.dataset, GENERALISATION.get(wildcards.dataset, wildcards.dataset)])
            for path in loaded_files(dataset)
        ],
        code=METRICS_CODE
        + code(
            "pipeline/measure.py",
            *READS_PICTURES,
            "pipeline/datasets/arrays.py",
            "pipeline/datasets/load.py",
            "pipeline/steps/evaluate_references.py",
        ),
    output:
        directory(layout.reference_folder(study, "{dataset}")),
    log:
        LOGS / "score_references/{dataset}.log",
    benchmark:
        BENCHMARKS / "score_references/{dataset}.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(4000),
        runtime=60,
    params:
        input_size=study.settings["input_size"],
    shell:
        "python -m pipeline.cli references --study {resources.study} --dataset {wildcards.dataset} > {log} 2>&1"


rule collect_results:
    input:
        cells=[study.cell_folder(cell) / "eval" for cell in study.models()],
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.models()],
        robustness=[layout.robustness_files(study, cell)[1] for cell in study.robust_models()],
        references=[layout.reference_folder(study, dataset) for dataset in REPORTED],
        data=data_of_study,
        code=METRICS_CODE
        + code(
            "reports/results.py",
            "reports/names.py",
            "pipeline/kept.py",
            "pipeline/measure.py",
            "pipeline/missing.py",
            "pipeline/robustness.py",
            "pipeline/steps/collect_results.py",
        ),
    output:
        layout.results_file(study),
        layout.results_provenance_file(study),
    log:
        LOGS / "collect_results.log",
    benchmark:
        BENCHMARKS / "collect_results.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(4000),
        runtime=60,
    params:
        labels={name: backbone["label"] for name, backbone in study.settings["backbones"].items()},
        protocol=study.protocol,
    shell:
        "python -m pipeline.cli collect --study {resources.study} > {log} 2>&1"


rule draw_datasets:
    input:
        data=data_of_study,
        code=code(
            "reports/style.py",
            "reports/dataset_figures.py",
            "pipeline/marks.py",
            *READS_PICTURES,
            "pipeline/steps/draw_datasets.py",
        ),
    output:
        layout.dataset_figures(study),
    log:
        LOGS / "draw_datasets.log",
    benchmark:
        BENCHMARKS / "draw_datasets.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(4000),
        runtime=60,
    shell:
        "python -m pipeline.cli draw-datasets --study {resources.study} > {log} 2>&1"


if study.leakage_datasets():

    rule draw_leakage:
        input:
            data=[path for dataset in study.leakage_datasets() for path in loaded_files(dataset)],
            code=code(
                "reports/style.py",
                "reports/dataset_figures.py",
                "pipeline/marks.py",
                "pipeline/datasets/leakage.py",
                "pipeline/datasets/load.py",
                "pipeline/steps/draw_datasets.py",
            ),
        output:
            layout.similarity_file(study),
            layout.leakage_figures(study),
        log:
            LOGS / "draw_leakage.log",
        benchmark:
            BENCHMARKS / "draw_leakage.tsv"
        conda:
            CONDA
        resources:
            study=STUDY,
            mem_mb=growing(4000),
            runtime=60,
        params:
            input_size=study.settings["input_size"],
        shell:
            "python -m pipeline.cli draw-leakage --study {resources.study} > {log} 2>&1"


# What robustness is reported from: one row an image and condition of every evaluated cell.
ROBUSTNESS = [path for cell in study.robust_models() for path in layout.robustness_files(study, cell)[1:]]


rule make_tables:
    input:
        layout.results_file(study),
        evaluations=[study.cell_folder(cell) / "eval" for cell in study.models()],
        histories=[layout.history_file(study, cell) for cell in study.trainings()],
        references=[layout.reference_folder(study, dataset) for dataset in REPORTED],
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.models()],
        similarity=[layout.similarity_file(study)] if study.leakage_datasets() else [],
        robustness=ROBUSTNESS,
        data=data_of_study,
        code=METRICS_CODE
        + code(
            "reports/*.py",
            "reports/published/*",
            "corruptions/catalogue.py",
            "pipeline/marks.py",
            "pipeline/kept.py",
            "pipeline/measure.py",
            "pipeline/missing.py",
            "pipeline/robustness.py",
            "pipeline/steps/*_table*.py",
            "pipeline/steps/collect_results.py",
            "pipeline/steps/kept_answers.py",
            "pipeline/steps/merging_report.py",
            "pipeline/steps/make_tables.py",
            "pipeline/steps/report_robustness.py",
        ),
    output:
        layout.table_files(study),
        layout.note_file(study),
    log:
        LOGS / "make_tables.log",
    benchmark:
        BENCHMARKS / "make_tables.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(8000),
        runtime=60,
    params:
        baseline=BASELINE,
        chosen=CHOSEN,
        merging=MERGING,
    shell:
        "python -m pipeline.cli tables --study {resources.study} > {log} 2>&1"


rule draw_figures:
    input:
        layout.results_file(study),
        evaluations=[study.cell_folder(cell) / "eval" for cell in study.models()],
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.models()],
        histories=[layout.history_file(study, cell) for cell in study.trainings()],
        robustness=ROBUSTNESS,
        representations=[layout.representations_file(study, group) for group in study.merging_groups()],
        predictions=[study.cell_folder(cell) / "predictions" for cell in study.trainings()],
        images=[path for dataset in REPORTED for path in loaded_files(dataset)],
        data=data_of_study,
        code=METRICS_CODE
        + code(
            "reports/*.py",
            "pipeline/chosen.py",
            "pipeline/predictions.py",
            "pipeline/marks.py",
            "pipeline/kept.py",
            "pipeline/measure.py",
            "pipeline/missing.py",
            "pipeline/datasets/labels.py",
            "pipeline/datasets/load.py",
            "pipeline/steps/figure_inputs.py",
            "pipeline/steps/kept_answers.py",
            "pipeline/steps/merging_report.py",
            "pipeline/steps/make_*figures.py",
            "pipeline/steps/score_tables.py",
            "pipeline/steps/report_*.py",
            "corruptions/catalogue.py",
        ),
    output:
        [path for paths in layout.result_figures(study).values() for path in paths],
    log:
        LOGS / "draw_figures.log",
    benchmark:
        BENCHMARKS / "draw_figures.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(8000),
        runtime=60,
    params:
        baseline=BASELINE,
        chosen=CHOSEN,
        merging=MERGING,
    shell:
        "python -m pipeline.cli figures --study {resources.study} > {log} 2>&1"


rule make_page:
    input:
        layout.results_file(study),
        layout.figure_files(study),
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.models()],
        histories=[layout.history_file(study, cell) for cell in study.trainings()],
        robustness=ROBUSTNESS,
        tables=layout.table_files(study),
        images=[path for dataset in REPORTED for path in loaded_files(dataset)],
        data=data_of_study,
        code=METRICS_CODE
        + code(
            "reports/*.py",
            "reports/published/*",
            "reports/page/*",
            "reports/page/vendor/*.js",
            "pipeline/marks.py",
            "pipeline/missing.py",
            "pipeline/gallery.py",
            "pipeline/kept.py",
            "pipeline/measure.py",
            "pipeline/steps/*_table*.py",
            "pipeline/steps/kept_answers.py",
            "pipeline/steps/merging_report.py",
            "pipeline/steps/make_page.py",
            "pipeline/steps/make_tables.py",
            "pipeline/steps/page_*.py",
            "pipeline/steps/report_*.py",
        )
        + CORRUPTION_CODE,
        similarity=[layout.similarity_file(study)] if study.leakage_datasets() else [],
    output:
        layout.report_file(study),
    log:
        LOGS / "make_page.log",
    benchmark:
        BENCHMARKS / "make_page.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(8000),
        runtime=60,
    params:
        title=study.settings["title"],
        baseline=BASELINE,
        chosen=CHOSEN,
        merging=MERGING,
    shell:
        "python -m pipeline.cli page --study {resources.study} > {log} 2>&1"


rule write_paper:
    input:
        layout.results_file(study),
        tables=layout.table_files(study),
        figures=layout.figure_files(study),
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.models()],
        data=data_of_study,
        code=METRICS_CODE
        + code(
            "reports/latex*.py",
            "reports/measures.py",
            "reports/names.py",
            "reports/paper/*",
            "pipeline/missing.py",
            "pipeline/marks.py",
            "pipeline/steps/make_paper.py",
        ),
    output:
        layout.paper_file(study),
    log:
        LOGS / "write_paper.log",
    benchmark:
        BENCHMARKS / "write_paper.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(4000),
        runtime=30,
    params:
        title=study.settings["title"],
        chosen=CHOSEN,
    shell:
        "python -m pipeline.cli paper --study {resources.study} > {log} 2>&1"


# Not part of `all`, for it needs pdflatex: snakemake compile_paper.
rule compile_paper:
    input:
        layout.paper_file(study),
        tables=layout.table_files(study),
        figures=layout.figure_files(study),
    output:
        layout.paper_pdf(study),
    log:
        LOGS / "compile_paper.log",
    benchmark:
        BENCHMARKS / "compile_paper.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
        mem_mb=growing(2000),
        runtime=30,
    shell:
        "python -m pipeline.cli paper --pdf --study {resources.study} > {log} 2>&1"
