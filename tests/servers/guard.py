"""Run one server for as long as the test run that asked for it is alive.

Usage: python guard.py RUN_FOLDER SERVER_FOLDER COMMAND...

The test run holds a lock on RUN_FOLDER/alive. The kernel drops that lock when the run ends in any way, `kill -9` and a
closed terminal included; this process then ends the server with all its children. It is started as the leader of a
process group of its own, so a Ctrl-C in the terminal does not reach the server before the tests are done with it.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def run_is_over(alive: int) -> bool:
    try:
        fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def main() -> None:
    run_folder, folder, *command = sys.argv[1:]
    alive = os.open(f"{run_folder}/alive", os.O_RDONLY)
    pid_file = Path(folder, "guard.pid")
    pid_file.write_text(str(os.getpid()))
    server = subprocess.Popen(command)
    while server.poll() is None and not run_is_over(alive):
        time.sleep(0.2)
    if server.returncode is not None:
        Path(folder, "exit").write_text(str(server.returncode))
    pid_file.unlink(missing_ok=True)
    os.killpg(os.getpid(), signal.SIGKILL)


main()
