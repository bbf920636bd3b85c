# The workflow of one study, from raw trees to the report.
#
#   snakemake --cores 2                                        run the study in params.yaml
#   snakemake --cores all --configfile studies/paper.yaml      run another study; params.yaml is not read

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, str(workflow.basedir))
# Jobs call `python`. With these variables, that is the Python that runs Snakemake, and it imports the code next to this file, in any
# working directory. Rules do not contain its path, because Snakemake would take results as outdated where that path is another.
for name, folder in {"PATH": Path(sys.executable).parent, "PYTHONPATH": workflow.basedir}.items():
    os.environ[name] = os.pathsep.join([str(folder), *filter(None, [os.environ.get(name)])])

from snakemake.exceptions import WorkflowError

from pipeline.errors import InputError
from pipeline.status.run_page import show_run
from pipeline.study.text import read_study_text

# Only one study is read, because Snakemake would merge the keys of a second configfile into the first.
given = workflow.overwrite_configfiles or ["params.yaml"]
if len(given) > 1:
    raise WorkflowError(f"--configfile: {len(given)} files. Give one study; Snakemake would merge them.")
if not Path(given[0]).exists():
    raise WorkflowError(
        f"{Path.cwd()}: no {given[0]} here. Give a study with --configfile, e.g. {workflow.basedir}/studies/demo.yaml."
    )
if workflow.deployment_settings.deployment_method:
    raise WorkflowError(
        "--software-deployment-method: all jobs run in the environment of Snakemake. Leave the option out. To use conda, "
        "create that environment from environment.yml, as its first lines explain."
    )
try:
    read_study_text(Path(given[0]))  # Snakemake's own reader accepts a repeated key without a message
except InputError as error:
    raise WorkflowError(f"The study is not valid. {error}")

if not workflow.overwrite_configfiles:

    configfile: "params.yaml"


include: "pipeline/rules/common.smk"
include: "pipeline/rules/data.smk"
include: "pipeline/rules/models.smk"
include: "pipeline/rules/reports.smk"


# `snakemake --lint` expects an environment for every rule. All rules run in the environment of Snakemake, so this one is empty.
for each in workflow.rules:
    each.conda_env = lambda wildcards: None


localrules:
    all,
    models,


rule all:
    default_target: True
    input:
        # All results are listed, not only the reports, because a report with gaps exists although results are missing.
        [result.done for result in RESULTS.all],


# The target of the stage `models` in dvc.yaml.
rule models:
    input:
        [result.done for result in RESULTS.of_models()],


# Show the progress of the run. `snakemake --printshellcmds` prints Snakemake's own messages instead.
page = show_run(study, workflow)


onsuccess:
    page.say_made()


# Report the existing results, and the gaps with their reasons. The next run repeats the failed jobs and makes the report again.
onerror:
    shell(f"python -m pipeline.cli report --if-gaps --study {STUDY} > {LOGS}/report.log 2>&1 || true")
    page.say_failures()
