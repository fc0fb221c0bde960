"""Run by `killing.py`: a process with all of refstore loaded and nothing begun, which forks for each command.

So a kill at a random moment meets the work, and seldom the start of an interpreter. It takes a JSON line a command, and
answers with the pid of the child and, when that has ended, with its exit code (of a signal: below zero).
"""

import json
import os
import signal
import sys
import threading
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


def kill_at_change(number: int) -> None:
    """Have this process killed just before its `number`th change to a file system."""
    left = number

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & WRITING):
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def child(task: dict[str, Any]) -> None:
    os.chdir(task["cwd"])
    os.environ.update(task["env"])
    output = os.open(task["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import refstore.checkout.transfer as transfer
    import refstore.records.transaction as transaction
    from refstore.cli import main

    # small enough for a few hundred entries to be written in several steps
    transaction.PART_SIZE, transfer.BATCH = 8 << 10, 20
    if task["kill_at_change"]:
        kill_at_change(task["kill_at_change"])
    code = main(task["words"])
    sys.stdout.flush()
    os._exit(code)


def load() -> None:
    """Import what a command imports when it runs."""
    import aiobotocore.session
    import s3fs
    import typer.main

    import refstore.checkout
    import refstore.checkout.cache
    import refstore.checkout.ledger
    import refstore.cli.app
    import refstore.store
    import refstore.tracking.record

    assert aiobotocore.session
    assert s3fs
    assert typer.main
    assert refstore.cli.app
    assert threading.active_count() == 1, "a fork would lose threads"


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                child(json.loads(line))
            finally:
                os._exit(99)
        print(pid, file=answers)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers)


if __name__ == "__main__":
    load()
    serve()
