# The whole path of one study, from raw trees to the report.
#
#   snakemake --cores 2                                        the study in params.yaml
#   snakemake --cores all --configfile studies/paper.yaml      another one, never merged with params.yaml

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, str(workflow.basedir))
# Jobs call `python`: the one that runs Snakemake, on the code beside this file, whatever is activated and wherever they run.
# Not by its path in the rules: their results would be out of date wherever that is another.
for name, folder in {"PATH": Path(sys.executable).parent, "PYTHONPATH": workflow.basedir}.items():
    os.environ[name] = os.pathsep.join([str(folder), *filter(None, [os.environ.get(name)])])

from snakemake.exceptions import WorkflowError

from pipeline.errors import InputError
from pipeline.status.run_page import show_run
from pipeline.study.text import read_study_text

# A given study stands alone: Snakemake would merge a second configfile deep into the first.
given = workflow.overwrite_configfiles or ["params.yaml"]
if len(given) > 1:
    raise WorkflowError(f"--configfile: {len(given)} files. Give one study; Snakemake would merge them.")
if not Path(given[0]).exists():
    raise WorkflowError(
        f"{Path.cwd()}: no {given[0]} here. Give a study with --configfile, e.g. {workflow.basedir}/studies/demo.yaml."
    )
if workflow.deployment_settings.deployment_method:
    raise WorkflowError(
        "--software-deployment-method: all jobs run in the environment that Snakemake runs in. Leave the option out; with conda, "
        "make that environment from environment.yml, whose first lines say how."
    )
try:
    read_study_text(Path(given[0]))  # Snakemake's own reader takes the last of two equal keys in silence
except InputError as error:
    raise WorkflowError(f"The study is not valid. {error}")

if not workflow.overwrite_configfiles:

    configfile: "params.yaml"


include: "pipeline/rules/common.smk"
include: "pipeline/rules/data.smk"
include: "pipeline/rules/models.smk"
include: "pipeline/rules/reports.smk"


# `snakemake --lint` asks every rule for its software. None has any of its own: all run in the environment of Snakemake.
for each in workflow.rules:
    each.conda_env = lambda wildcards: None


localrules:
    all,
    models,


rule all:
    default_target: True
    input:
        # Each is named for itself: reports are there with gaps too, and what is missing is made.
        [result.done for result in RESULTS.all],


# What DVC keeps apart from reports.
rule models:
    input:
        [result.done for result in RESULTS.of_models()],


# What a run looks like. `snakemake --printshellcmds` prints Snakemake's own messages instead.
page = show_run(study, workflow)


onsuccess:
    page.say_made()


# What is there is reported, gaps with their reasons; the next run does what failed again, and the report with it.
onerror:
    shell(f"python -m pipeline.cli report --if-gaps --study {STUDY} > {LOGS}/report.log 2>&1 || true")
    page.say_failures()
