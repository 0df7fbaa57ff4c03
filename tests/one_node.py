"""A real Slurm of one node, started on this machine for as long as it is needed; only by root."""

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

from conftest import wait_for

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
MISSING = [name for name in PROGRAMS if not shutil.which(name)]

CONF = """\
ClusterName=ci
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmUser=root
ReturnToService=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort=6917
SlurmdPort=6918
KillWait=1
InactiveLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=6000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def one_node(folder):
    """
    Start a Slurm of one node, which keeps its files in a folder; yield its daemons by name.

    Raises
    ------
    RuntimeError
        If the machine has a Slurm of its own.
    """
    host = socket.gethostname().partition(".")[0]
    for name in ("spool", "state"):
        (folder / name).mkdir()
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, folder=folder))
    # Where Slurm looks by itself, as the executor hands no variable of Slurm on to its jobs.
    usual = Path("/etc/slurm/slurm.conf")
    if usual.is_symlink() and not os.path.exists(usual):
        usual.unlink()
    if usual.is_symlink() and "/pytest-" in os.readlink(usual) and not node_state():
        usual.unlink()  # a test run that was killed left it
    if usual.exists():
        raise RuntimeError("this machine has a Slurm of its own")
    usual.parent.mkdir(exist_ok=True)
    usual.symlink_to(conf)
    munge = Path("/run/munge")
    munge.mkdir(exist_ok=True)
    shutil.chown(munge, "munge", "munge")
    if subprocess.run(["munge", "-n"], capture_output=True).returncode:
        subprocess.run(["runuser", "-u", "munge", "--", "munged", "--force"], check=True)
    daemons = {name: start_daemon(name) for name in ("slurmctld", "slurmd")}
    try:
        wait_for(lambda: node_state() == "idle", "idle node", seconds=30)
        yield daemons
    finally:
        usual.unlink()
        for daemon in daemons.values():
            daemon.terminate()
            daemon.wait()


def start_daemon(name):
    """Start a daemon of Slurm, which ends with the tests, even when these are killed."""
    command = ["setpriv", "--pdeathsig", "TERM", name, "-D"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def node_state():
    """Return the state of the machine as a node of Slurm, or nothing where none answers."""
    state = subprocess.run(["sinfo", "-ho", "%T"], capture_output=True, text=True)
    return state.stdout.strip()
