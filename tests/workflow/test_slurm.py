"""A miniature study through profiles/slurm on a Slurm of this one machine: the same tables, and what Slurm was asked for.

Needs the extra `slurm`, Debian's slurm-wlm and munge, and root; skipped with the reason where one is lacking.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long

MACHINE = ROOT / "tests/workflow/slurm_one_machine.sh"
NOTHING_HERE = 2
# This Slurm has no accounting, and its jobs are short.
PROFILE = ("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue")
PROFILE += ("--slurm-init-seconds-before-status-checks", "3", "--max-status-checks-per-second", "1")
# A rule of the study's name, so that the profile gives it a GPU, and one that needs what it gets at its second attempt alone.
SMALL = """
rule all:
    localrule: True
    input: "gpu.txt", "fed.txt"

rule train_cell:
    output: "gpu.txt"
    resources: gpu=1, mem_mb=1000, runtime=5
    shell: "echo $CUDA_VISIBLE_DEVICES > {output}"

rule hungry:
    output: "fed.txt"
    resources: mem_mb=lambda wildcards, attempt: 500 * 3 ** (attempt - 1), runtime=lambda wildcards, attempt: 5 * attempt
    shell: "python -c 'import time; held = bytearray(700 * 2**20); time.sleep(8)' && echo {resources.mem_mb} > {output}"
"""


class Job(NamedTuple):
    """What Slurm says of one job: its rule, or its group and the rules in it; how it ended; GPUs, MB, minutes, CPUs."""

    rule: str
    state: str
    gres: str
    memory: int
    minutes: int
    cpus: int


def jobs_of(run: subprocess.CompletedProcess[str]) -> list[Job]:
    """All jobs of one run of Snakemake, in their order."""
    run_id = re.search(r"SLURM run ID: (\S+)", run.stdout + run.stderr)[1]
    squeue = ["squeue", "--noheader", "--states=all", "--sort=i", f"--name={run_id}", "--format=%k|%T|%b|%m|%l|%C"]
    lines = subprocess.run(squeue, capture_output=True, text=True, check=True).stdout.splitlines()
    return [_job(*line.split("|")) for line in lines]


def _job(comment: str, state: str, gres: str, memory: str, limit: str, cpus: str) -> Job:
    rule = re.fullmatch(r"rule_(\w+?)(?:_wildcards_.*|_\.\.\.)?", comment)[1]
    megabytes = round(float(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]])
    days, hours, minutes, _ = (
        int(part) for part in re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit).groups("0")
    )
    return Job(rule, state, gres, megabytes, (days * 24 + hours) * 60 + minutes, int(cpus))


@pytest.fixture(scope="module", autouse=True)
def slurm() -> Iterator[None]:
    """A Slurm of this one machine, stopped afterwards unless it ran before."""
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("the extra `slurm` is not installed: snakemake-executor-plugin-slurm")
    started = subprocess.run([MACHINE], capture_output=True, text=True, check=False)
    if started.returncode == NOTHING_HERE:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stdout + started.stderr
    yield
    if "runs already" not in started.stdout:
        subprocess.run([MACHINE, "stop"], check=True)


@pytest.fixture(scope="module")
def folders(link_checkout: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two checkouts with the same study: two datasets, one model each, the robustness of one."""
    study = yaml.safe_load((ROOT / "tests/workflow/mini.yaml").read_text())
    study["datasets"] = {"mtlesd": {}, "mtlendovis": {}}
    del study["training"]["schedules"]["mtlendovis_by_sequence"]
    study["cells"] = [study["cells"][0], study["cells"][2] | {"datasets": ["mtlendovis"]}]
    made = {name: link_checkout(tmp_path_factory.mktemp(name)) for name in ("here", "on_slurm")}
    for folder in made.values():
        (folder / "mini.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return made


@pytest.fixture(scope="module")
def on_slurm(
    folders: dict[str, Path], snakemake: Run, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """The run on Slurm, on a machine that seems to have two GPUs of its own: the slots that rules then ask for must not get in."""
    programs = tmp_path_factory.mktemp("programs")
    (programs / "nvidia-smi").write_text("#!/bin/sh\necho '0, GPU-a'\necho '1, GPU-b'\n")
    (programs / "nvidia-smi").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(programs), prepend=":")
        run = snakemake(folders["on_slurm"], *PROFILE, study="mini.yaml", cores=None)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    return run


def test_slurm_gives_the_same_tables(
    folders: dict[str, Path], on_slurm: subprocess.CompletedProcess[str], snakemake: Run
) -> None:
    """Byte for byte, and all measurements too; but for the table of cost, which holds seconds and megabytes of its run."""
    run = snakemake(folders["here"], study="mini.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    here, there = (folder / "results/mini" for folder in folders.values())
    names = {path.name for path in (here / "tables").iterdir()}
    assert names == {path.name for path in (there / "tables").iterdir()}
    compared = ["results.parquet", *(f"tables/{name}" for name in sorted(names) if not name.startswith("table_cost"))]
    assert len(compared) > 20
    assert [name for name in compared if (here / name).read_bytes() != (there / name).read_bytes()] == []


def test_slurm_is_asked_for_what_the_rules_say(on_slurm: subprocess.CompletedProcess[str]) -> None:
    block = r"^rule (\w+):.*?mem_mb=(\d+).*?runtime=(\d+)"  # as Snakemake shows a job of its own
    shown = re.findall(block, on_slurm.stdout + on_slurm.stderr, re.MULTILINE | re.DOTALL)
    wanted = {rule: (int(memory), int(minutes)) for rule, memory, minutes in shown}
    jobs = jobs_of(on_slurm)
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert {job.rule: (job.memory, job.minutes) for job in jobs if job.rule in wanted} == wanted
    assert {"train_cell", "evaluate_cell", "evaluate_robustness", "generate_raw", "draw_datasets"} < wanted.keys()
    with_gpu = [job.rule for job in jobs if job.gres == "gres:gpu:1"]
    assert sorted(with_gpu) == ["evaluate_robustness", "pretrain_backbone", "train_cell", "train_cell"]
    assert {job.gres for job in jobs} == {"gres:gpu:1", "N/A"}


def test_short_jobs_go_together(on_slurm: subprocess.CompletedProcess[str]) -> None:
    """One job for each dataset, with the memory of the largest step and the minutes of all; one for what people read."""
    jobs = jobs_of(on_slurm)
    datasets = [job for job in jobs if job.rule == "dataset_build_dataset_check_sources_pack_dataset"]
    assert [(job.memory, job.minutes, job.cpus) for job in datasets] == [(8000, 480, 8)] * 2
    assert sum(job.rule.startswith("report_collect_results_draw_figures") for job in jobs) == 1
    # Beside them two trees, pretraining, two trainings with their scores, a robustness, two references and two drawings.
    assert len(jobs) == 3 + 2 + 1 + 4 + 1 + 4


def test_a_job_without_enough_memory_gets_more(snakemake: Run, tmp_path: Path) -> None:
    """Slurm ends it, Snakemake submits it again with what the rule asks at its second attempt. The first job has its GPU."""
    (tmp_path / "Snakefile").write_text(SMALL)
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    run = snakemake(tmp_path, *PROFILE, cores=None)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "fed.txt").read_text() == "1500\n"
    assert (tmp_path / "gpu.txt").read_text() in ("0\n", "1\n")
    jobs = jobs_of(run)
    hungry = [job[1:] for job in jobs if job.rule == "hungry"]
    assert hungry == [("FAILED", "N/A", 500, 5, 1), ("COMPLETED", "N/A", 1500, 10, 1)]
    assert [(job.gres, job.memory) for job in jobs if job.rule == "train_cell"] == [("gres:gpu:1", 1000)]
