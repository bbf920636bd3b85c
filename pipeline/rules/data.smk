# Make raw trees and datasets, and pretrain a study's own backbone. The output of each rule is done.json; results_of_study.py in
# pipeline/workflow lists the other files of a rule, and what decides them.


if study.raw.generate is not None:

    rule generate_raw:
        input:
            lambda wildcards: from_results(RESULTS.generate_raw(wildcards.tree)),
        output:
            raw_roots(study)["esd"].parent / "{tree}.done.json",
        log:
            LOGS / "generate_raw/{tree}.log",
        benchmark:
            BENCHMARKS / "generate_raw/{tree}.tsv"
        priority: 8
        resources:
            **needs(4000, 60),
        shell:
            "python -m pipeline.cli step generate_raw --if-stale --study {resources.study} --tree {wildcards.tree}"
            " > {log} 2>&1"


rule check_sources:
    input:
        lambda wildcards: from_results(RESULTS.check_sources(wildcards.dataset)),
    output:
        f"{dataset_folder(study, '{dataset}')}.doctor.done.json",
    log:
        LOGS / "check_sources/{dataset}.log",
    benchmark:
        BENCHMARKS / "check_sources/{dataset}.tsv"
    priority: 8
    resources:
        **needs(4000, 120),
    params:
        file=lambda wildcards: paths.doctor_file(study, wildcards.dataset),
    shell:
        "python -m pipeline.cli step check_sources --if-stale --study {resources.study}"
        " --dataset {wildcards.dataset} --json {params.file} > {log} 2>&1"


rule build_dataset:
    input:
        lambda wildcards: from_results(RESULTS.build_dataset(wildcards.dataset)),
        # A broken raw tree is reported before anything is built. With ancient() around this input, Snakemake (9.27) would ignore
        # other reasons to run this rule whenever the check runs.
        rules.check_sources.output,
    output:
        dataset_folder(study, "{dataset}") / "done.json",
    log:
        LOGS / "build_dataset/{dataset}.log",
    benchmark:
        BENCHMARKS / "build_dataset/{dataset}.tsv"
    priority: 8
    # Half of the cores, so that trainings or the pretraining run at the same time on a small machine.
    threads: max(1, (workflow.cores or 1) // 2)
    resources:
        **needs(8000, 240),
    shell:
        "python -m pipeline.cli step build_dataset --if-stale --study {resources.study}"
        " --dataset {wildcards.dataset} --workers {threads} > {log} 2>&1"


rule pack_dataset:
    input:
        lambda wildcards: from_results(RESULTS.pack_dataset(wildcards.dataset)),
    output:
        paths.arrays_file(study, "{dataset}").with_suffix(".done.json"),
    log:
        LOGS / "pack_dataset/{dataset}.log",
    benchmark:
        BENCHMARKS / "pack_dataset/{dataset}.tsv"
    priority: 8
    # Half of the cores, so that trainings or the pretraining run at the same time on a small machine.
    threads: max(1, (workflow.cores or 1) // 2)
    resources:
        **needs(8000, 120),
    shell:
        "python -m pipeline.cli step pack_dataset --if-stale --study {resources.study}"
        " --dataset {wildcards.dataset} --workers {threads} > {log} 2>&1"


if pretrained_file(study) is not None:

    rule pretrain_backbone:
        input:
            from_results(RESULTS.pretrain_backbone()),
        output:
            pretrained_file(study).with_suffix(".done.json"),
        log:
            LOGS / "pretrain_backbone.log",
        benchmark:
            BENCHMARKS / "pretrain_backbone.tsv"
        priority: 10
        resources:
            **needs(8000, 240),
            gpu=GPU,
        shell:
            "python -m pipeline.cli step pretrain_backbone --if-stale --study {resources.study} > {log} 2>&1"
