# Score reference predictions, collect the long table of results, and make the reports.


rule score_references:
    input:
        lambda wildcards: from_results(RESULTS.score_references(wildcards.dataset)),
    output:
        paths.reference_folder(study, "{dataset}") / "done.json",
    log:
        LOGS / "score_references/{dataset}.log",
    benchmark:
        BENCHMARKS / "score_references/{dataset}.tsv"
    resources:
        **needs(4000, 60),
    shell:
        "python -m pipeline.cli step score_references --if-stale --study {resources.study} --dataset {wildcards.dataset}"
        " > {log} 2>&1"


rule collect_results:
    input:
        from_results(RESULTS.collect_results()),
    output:
        RESULTS.collect_results().done,
    log:
        LOGS / "collect_results.log",
    benchmark:
        BENCHMARKS / "collect_results.tsv"
    resources:
        **needs(4000, 60),
    shell:
        "python -m pipeline.cli step collect_results --if-stale --study {resources.study} > {log} 2>&1"


rule draw_datasets:
    input:
        from_results(RESULTS.draw_datasets()),
    output:
        RESULTS.draw_datasets().done,
    log:
        LOGS / "draw_datasets.log",
    benchmark:
        BENCHMARKS / "draw_datasets.tsv"
    resources:
        **needs(4000, 60),
    shell:
        "python -m pipeline.cli step draw_datasets --if-stale --study {resources.study} > {log} 2>&1"


if leakage_datasets(study):

    rule draw_leakage:
        input:
            from_results(RESULTS.draw_leakage()),
        output:
            RESULTS.draw_leakage().done,
        log:
            LOGS / "draw_leakage.log",
        benchmark:
            BENCHMARKS / "draw_leakage.tsv"
        resources:
            **needs(4000, 60),
        shell:
            "python -m pipeline.cli step draw_leakage --if-stale --study {resources.study} > {log} 2>&1"


rule make_tables:
    input:
        from_results(RESULTS.make_tables()),
    output:
        RESULTS.make_tables().done,
    log:
        LOGS / "make_tables.log",
    benchmark:
        BENCHMARKS / "make_tables.tsv"
    resources:
        **needs(8000, 60),
    shell:
        "python -m pipeline.cli step make_tables --if-stale --study {resources.study} > {log} 2>&1"


rule draw_figures:
    input:
        from_results(RESULTS.draw_figures()),
    output:
        RESULTS.draw_figures().done,
    log:
        LOGS / "draw_figures.log",
    benchmark:
        BENCHMARKS / "draw_figures.tsv"
    resources:
        **needs(8000, 60),
    shell:
        "python -m pipeline.cli step draw_figures --if-stale --study {resources.study} > {log} 2>&1"


rule make_page:
    input:
        from_results(RESULTS.make_page()),
    output:
        RESULTS.make_page().done,
    log:
        LOGS / "make_page.log",
    benchmark:
        BENCHMARKS / "make_page.tsv"
    resources:
        **needs(8000, 60),
    shell:
        "python -m pipeline.cli step make_page --if-stale --study {resources.study} > {log} 2>&1"


rule write_paper:
    input:
        from_results(RESULTS.write_paper()),
    output:
        RESULTS.write_paper().done,
    log:
        LOGS / "write_paper.log",
    benchmark:
        BENCHMARKS / "write_paper.tsv"
    resources:
        **needs(4000, 30),
    shell:
        "python -m pipeline.cli step write_paper --if-stale --study {resources.study} > {log} 2>&1"


# This rule is not part of `all`, because it needs pdflatex. To run it: snakemake compile_paper.
rule compile_paper:
    input:
        from_results(RESULTS.compile_paper()),
    output:
        RESULTS.compile_paper().done,
    log:
        LOGS / "compile_paper.log",
    benchmark:
        BENCHMARKS / "compile_paper.tsv"
    resources:
        **needs(2000, 30),
    shell:
        "python -m pipeline.cli step compile_paper --if-stale --study {resources.study} > {log} 2>&1"
