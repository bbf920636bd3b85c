# Raw trees, datasets, and the demo's pretrained backbone.


if study.raw.generate is not None:

    rule generate_raw:
        input:
            code=code_of("pipeline.preparation.generate_raw"),
        output:
            paths.generated_mark(raw_roots(study)["esd"].parent / "{tree}"),
        log:
            LOGS / "generate_raw/{tree}.log",
        benchmark:
            BENCHMARKS / "generate_raw/{tree}.tsv"
        resources:
            **needs(4000, 60),
        params:
            settings=json.dumps(study.raw.generate.as_dict(), sort_keys=True),
        shell:
            "python -m pipeline.cli step generate_raw --study {resources.study} --tree {wildcards.tree} > {log} 2>&1"


rule check_sources:
    input:
        sources=dataset_source_marks,
        # Not the doctor's own code, which changes no dataset: an examination that runs builds the dataset again.
        code=dataset_code,
    output:
        paths.examination_file(study, "{dataset}"),
    log:
        LOGS / "check_sources/{dataset}.log",
    benchmark:
        BENCHMARKS / "check_sources/{dataset}.tsv"
    resources:
        **needs(4000, 120),
    params:
        settings=lambda wildcards: json.dumps(dataset_settings(study, wildcards.dataset), sort_keys=True),
        roots=lambda wildcards: roots_as_written(study, wildcards.dataset),
        listing=raw_listing,
    shell:
        "python -m pipeline.cli step check_sources --study {resources.study} --dataset {wildcards.dataset}"
        " --json {output} > {log} 2>&1"


rule build_dataset:
    input:
        sources=dataset_source_marks,
        # Not ancient(): Snakemake (9.27) then overlooks this rule's own reasons whenever the examination runs.
        examination=paths.examination_file(study, "{dataset}"),
        code=dataset_code,
    output:
        dataset_folder(study, "{dataset}") / "manifest.csv",
        dataset_folder(study, "{dataset}") / "dataset.json",
        directory(dataset_folder(study, "{dataset}") / "images"),
        directory(dataset_folder(study, "{dataset}") / "masks"),
        paths.dataset_provenance_file(study, "{dataset}"),
    log:
        LOGS / "build_dataset/{dataset}.log",
    benchmark:
        BENCHMARKS / "build_dataset/{dataset}.tsv"
    threads: workflow.cores
    resources:
        **needs(8000, 240),
    params:
        settings=lambda wildcards: json.dumps(dataset_settings(study, wildcards.dataset), sort_keys=True),
        roots=lambda wildcards: roots_as_written(study, wildcards.dataset),
        listing=raw_listing,
    shell:
        "python -m pipeline.cli step build_dataset --study {resources.study} --dataset {wildcards.dataset}"
        " --workers {threads} > {log} 2>&1"


rule pack_dataset:
    input:
        dataset_folder(study, "{dataset}") / "manifest.csv",
        dataset_folder(study, "{dataset}") / "dataset.json",
        code=code_of("pipeline.preparation.pack_dataset"),
    output:
        paths.arrays_file(study, "{dataset}"),
    log:
        LOGS / "pack_dataset/{dataset}.log",
    benchmark:
        BENCHMARKS / "pack_dataset/{dataset}.tsv"
    threads: workflow.cores
    resources:
        **needs(8000, 120),
    shell:
        "python -m pipeline.cli step pack_dataset --study {resources.study} --dataset {wildcards.dataset}"
        " --workers {threads} > {log} 2>&1"


if pretrained_file(study) is not None:

    rule pretrain_backbone:
        input:
            code=code_of_pretraining(),
        output:
            pretrained_file(study),
            pretrained_file(study).with_suffix(".json"),
        log:
            LOGS / "pretrain_backbone.log",
        benchmark:
            BENCHMARKS / "pretrain_backbone.tsv"
        priority: 10
        resources:
            **needs(8000, 240),
            gpu=GPU,
        params:
            settings=json.dumps(pretraining_settings(study), sort_keys=True),
        shell:
            "python -m pipeline.cli step pretrain_backbone --study {resources.study} > {log} 2>&1"
