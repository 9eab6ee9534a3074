"""Starts a program at a terminal of its own and types: at_a_terminal.py PLAN

PLAN is JSON: {"argv": [...], "steps": [[TEXT_TO_TYPE, TEXT_TO_WAIT_FOR], ...]}. A text is waited for in what has come since
the last one. It starts in
the folder START, if that is set. Prints all that came, without control sequences, and its exit code in the last line.
"""

import json
import os
import pty
import re
import select
import signal
import sys
import time

# Two busy cores start a shell in a second or two.
PATIENCE = 30
CONTROL = re.compile(r"\x1b\[[0-9;?=<>]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07")

plan = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.chdir(os.environ.get("START", "."))
    os.execvpe(plan["argv"][0], plan["argv"], {**os.environ, "TERM": "xterm", "COLUMNS": "200"})

seen = ""


def read(seconds):
    """What comes within this time; None at the end."""
    global seen
    if select.select([terminal], [], [], seconds)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            return None
        if not data:
            return None
        seen += data.decode(errors="replace")
    return seen


def plain():
    return CONTROL.sub("", seen).replace("\r", "")


at = 0
for typed, wanted in plan["steps"]:
    os.write(terminal, typed.encode())
    end = time.monotonic() + PATIENCE
    while (found := plain().find(wanted, at)) < 0:
        if read(0.1) is None or time.monotonic() > end:
            print(plain())
            os.kill(pid, signal.SIGKILL)
            sys.exit(f"no {wanted!r} after {typed!r}")
    at = found + len(wanted)
end = time.monotonic() + PATIENCE
while read(0.1) is not None:
    if time.monotonic() > end:
        os.kill(pid, signal.SIGKILL)
print(plain())
print("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
