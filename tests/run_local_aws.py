"""Runs the local AWS for as long as standard input is open, so that it ends with whoever started it, however that ends."""

import os
import shutil
import signal
import subprocess
import sys

folder, *command = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "log"), "wb") as log:
    # A process group of its own: the functions are its children.
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
    )
    # Ctrl-C reaches every process of a terminal, and this one must outlive the others to end them.
    for ending in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    print(child.pid, flush=True)
    sys.stdin.buffer.read()
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(timeout=3)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
shutil.rmtree(folder, ignore_errors=True)
