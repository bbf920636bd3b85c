# Scores that need no model, the long result table, and what people read.


rule score_references:
    input:
        data=lambda wildcards: [
            path
            for dataset in {
                wildcards.dataset,
                GENERALISATION.get(wildcards.dataset, wildcards.dataset),
            }
            for path in loaded_files(dataset)
        ],
        code=code(
            "endoarss/metrics/*.py",
            "pipeline/measure.py",
            "pipeline/images.py",
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
    params:
        input_size=study.settings["input_size"],
    shell:
        "python -m pipeline.cli references --study {resources.study} --dataset {wildcards.dataset} > {log} 2>&1"


rule collect_results:
    input:
        cells=[study.cell_folder(cell) / "eval" for cell in study.cells()],
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.cells()],
        robustness=[layout.robustness_files(study, cell)[0] for cell in study.robustness_cells()],
        references=[layout.reference_folder(study, dataset) for dataset in REPORTED],
        code=code(
            "reports/results.py",
            "reports/names.py",
            "pipeline/steps/collect_results.py",
        ),
    output:
        layout.results_file(study),
    log:
        LOGS / "collect_results.log",
    benchmark:
        BENCHMARKS / "collect_results.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
    params:
        labels={name: backbone["label"] for name, backbone in study.settings["backbones"].items()},
    shell:
        "python -m pipeline.cli collect --study {resources.study} > {log} 2>&1"


rule draw_datasets:
    input:
        data=data_of_study,
        code=code(
            "reports/figures.py",
            "reports/dataset_figures.py",
            "pipeline/marks.py",
            "pipeline/images.py",
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
    shell:
        "python -m pipeline.cli draw-datasets --study {resources.study} > {log} 2>&1"


if study.leakage_datasets():

    rule draw_leakage:
        input:
            data=[path for dataset in study.leakage_datasets() for path in loaded_files(dataset)],
            code=code(
                "reports/figures.py",
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
        params:
            input_size=study.settings["input_size"],
        shell:
            "python -m pipeline.cli draw-leakage --study {resources.study} > {log} 2>&1"


# What robustness is reported from: one row an image and condition of every evaluated cell.
ROBUSTNESS = [path for cell in study.robustness_cells() for path in layout.robustness_files(study, cell)[1:]]


rule make_tables:
    input:
        layout.results_file(study),
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.cells()],
        similarity=[layout.similarity_file(study)] if study.leakage_datasets() else [],
        robustness=ROBUSTNESS,
        data=data_of_study,
        code=code(
            "reports/*.py",
            "reports/published/*",
            "pipeline/marks.py",
            "pipeline/steps/make_*.py",
            "pipeline/steps/report_*.py",
            "corruptions/catalogue.py",
        ),
    output:
        layout.table_files(study),
    log:
        LOGS / "make_tables.log",
    benchmark:
        BENCHMARKS / "make_tables.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
    params:
        baseline=BASELINE,
    shell:
        "python -m pipeline.cli tables --study {resources.study} > {log} 2>&1"


rule draw_histories:
    input:
        layout.results_file(study),
        histories=[layout.history_file(study, cell) for cell in study.cells()],
        cards=data_of_study,
        code=code("reports/*.py", "pipeline/marks.py", "pipeline/steps/make_*.py"),
    output:
        [path for paths in layout.history_figures(study).values() for path in paths],
    log:
        LOGS / "draw_histories.log",
    benchmark:
        BENCHMARKS / "draw_histories.tsv"
    conda:
        CONDA
    resources:
        study=STUDY,
    shell:
        "python -m pipeline.cli histories --study {resources.study} > {log} 2>&1"


if study.segments():

    rule draw_segmentation:
        input:
            layout.results_file(study),
            cells=[study.cell_folder(cell) / "eval" for cell in study.cells()],
            data=[path for dataset in REPORTED for path in loaded_files(dataset)],
            cards=data_of_study,
            code=code(
                "reports/*.py",
                "pipeline/marks.py",
                "pipeline/steps/make_*.py",
                "pipeline/datasets/labels.py",
            ),
        output:
            study.results / "figures/fig5_segmentation.png",
            study.results / "figures/fig5_segmentation.pdf",
        log:
            LOGS / "draw_segmentation.log",
        benchmark:
            BENCHMARKS / "draw_segmentation.tsv"
        conda:
            CONDA
        resources:
            study=STUDY,
        params:
            figures=study.settings["figures"],
        shell:
            "python -m pipeline.cli figure5 --study {resources.study} > {log} 2>&1"


if study.robustness_cells():

    rule draw_severity:
        input:
            layout.results_file(study),
            robustness=ROBUSTNESS,
            cards=data_of_study,
            code=code(
                "reports/*.py",
                "reports/published/*",
                "pipeline/marks.py",
                "pipeline/steps/make_*.py",
                "pipeline/steps/report_*.py",
                "corruptions/catalogue.py",
            ),
        output:
            layout.severity_figures(study),
        log:
            LOGS / "draw_severity.log",
        benchmark:
            BENCHMARKS / "draw_severity.tsv"
        conda:
            CONDA
        resources:
            study=STUDY,
        params:
            baseline=BASELINE,
        shell:
            "python -m pipeline.cli figure6 --study {resources.study} > {log} 2>&1"


rule make_page:
    input:
        layout.results_file(study),
        layout.figure_files(study),
        provenance=[study.cell_folder(cell) / "provenance.json" for cell in study.cells()],
        robustness=ROBUSTNESS,
        data=data_of_study,
        code=code(
            "reports/*.py",
            "reports/published/*",
            "pipeline/marks.py",
            "reports/*.jinja",
            "pipeline/steps/make_*.py",
            "pipeline/steps/report_*.py",
            "corruptions/catalogue.py",
        ),
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
    params:
        title=study.settings["title"],
        baseline=BASELINE,
    shell:
        "python -m pipeline.cli page --study {resources.study} > {log} 2>&1"
