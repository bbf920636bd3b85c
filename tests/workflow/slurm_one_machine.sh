#!/usr/bin/env bash
# A Slurm of this one machine, to try profiles/slurm on: a controller, a node and two GPUs that are none.
#
#   sudo tests/workflow/slurm_one_machine.sh          set up what is not there yet, and start what does not run
#   sudo tests/workflow/slurm_one_machine.sh stop     end it, and remove its configuration
#
# The node may claim more than the machine has, for jobs ask for what real ones need: SLURM_CPUS=8 SLURM_MEMORY=64000 (MB).
# No accounting, so Snakemake needs --slurm-status-command squeue. Nothing limits what a job uses but its memory: Slurm looks
# every two seconds, and ends a job that holds more than it asked for. Tried with Slurm 22.05 of Debian 12.
set -euo pipefail

MARK="# Written by slurm_one_machine.sh"
CONF=/etc/slurm
STATE=/var/spool/slurm_one_machine
CPUS=${SLURM_CPUS:-8}
MEMORY=${SLURM_MEMORY:-64000}
HOST=$(hostname -s)

say() { echo "slurm_one_machine: $*"; }
fail() { say "$*" >&2; exit 1; }
not_here() { say "$*" >&2; exit 2; }
answers() { "$@" > /dev/null 2>&1; }
munge_answers() { answers bash -c "munge -n | unmunge"; }
# One of the three configuration files, from standard input.
write() { { echo "$MARK"; cat; } > "$CONF/$1"; }

# Up to 20 seconds, until a command succeeds.
await() {
    local what=$1
    shift
    for _ in $(seq 40); do
        if answers "$@"; then return; fi
        sleep 0.5
    done
    fail "$what does not answer; its log is in $STATE"
}

check() {
    [ "$(id -u)" = 0 ] || not_here "must run as root, for Slurm reads $CONF and starts jobs as other users"
    for program in munged munge slurmctld slurmd sbatch sinfo; do
        command -v "$program" > /dev/null || not_here "$program is lacking; on Debian: apt-get install slurm-wlm munge"
    done
    if [ -e "$CONF/slurm.conf" ] && ! grep -qF "$MARK" "$CONF/slurm.conf"; then
        not_here "$CONF/slurm.conf is somebody else's; a machine that belongs to a cluster is not touched"
    fi
}

# Who may talk to whom: one key, that only the user munge can read.
start_munge() {
    if munge_answers; then return; fi
    if [ ! -s /etc/munge/munge.key ]; then
        say "making a munge key"
        install -d -o munge -g munge -m 700 /etc/munge
        install -o munge -g munge -m 400 <(head -c 1024 /dev/urandom) /etc/munge/munge.key
    fi
    install -d -o munge -g munge -m 755 /run/munge
    say "starting munged"
    runuser -u munge -- munged
    await munged munge_answers
    touch "$STATE/munge_is_ours"
}

configure() {
    write slurm.conf << CONFIGURATION
ClusterName=one_machine
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$STATE/slurmctld
SlurmdSpoolDir=$STATE/slurmd
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# The node is what is said here, not what the machine has.
SlurmdParameters=config_overrides
# A job that holds more memory than it asked for is ended.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
# Without accounting, jobs that are done must stay visible for whoever asks what became of them.
MinJobAge=3600
ReturnToService=2
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$MEMORY Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=$HOST Default=YES MaxTime=INFINITE State=UP
CONFIGURATION
    write gres.conf << CONFIGURATION
NodeName=$HOST Name=gpu File=/dev/null
NodeName=$HOST Name=gpu File=/dev/zero
CONFIGURATION
    # Control groups are not used, but slurmd wants to know which there are.
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        printf 'CgroupPlugin=cgroup/v2\nIgnoreSystemd=yes\n' | write cgroup.conf # not tried
    else
        echo CgroupPlugin=cgroup/v1 | write cgroup.conf
    fi
}

start() {
    check
    mkdir -p "$CONF" "$STATE/slurmctld" "$STATE/slurmd"
    start_munge
    if answers timeout 5 sinfo --noheader && answers timeout 5 scontrol show node "$HOST"; then
        say "runs already"
    else
        configure
        say "starting slurmctld and slurmd"
        slurmctld
        await slurmctld timeout 5 sinfo --noheader
        slurmd -N "$HOST"
    fi
    await "the node" sh -c "timeout 5 sinfo --noheader --format %T | grep -qE 'idle|mixed|allocated'"
    sinfo --format "%P %T %c CPUs, %m MB, %G"
}

# Ends the daemon that a file names, and waits for it.
end() {
    local pid
    pid=$(cat "$1" 2> /dev/null) || return 0
    kill "$pid" 2> /dev/null || return 0
    for _ in $(seq 40); do
        kill -0 "$pid" 2> /dev/null || return 0
        sleep 0.5
    done
    fail "process $pid does not end"
}

stop() {
    check
    end "$STATE/slurmd.pid"
    end "$STATE/slurmctld.pid"
    if [ -e "$STATE/munge_is_ours" ]; then end /run/munge/munged.pid; fi
    for name in slurm.conf gres.conf cgroup.conf; do
        if grep -qsF "$MARK" "$CONF/$name"; then rm "$CONF/$name"; fi
    done
    rm -rf "$STATE"
    say "stopped"
}

case ${1:-start} in
    start) start ;;
    stop) stop ;;
    *) fail "start or stop, not $1" ;;
esac
