# Types a line and a tab into an interactive zsh that has a completion script, and prints the line that the shell makes of it.
"""usage: drive_zsh.py SCRIPT LINE
"""
import os
import pty
import re
import select
import sys
import time

DEADLINE = time.monotonic() + 60
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("zsh", ["zsh", "-f", "-i"])

seen = b""


def until(mark):
    global seen
    while mark not in seen:
        if time.monotonic() > DEADLINE or not select.select([terminal], [], [], 60)[0]:
            sys.exit(f"waited in vain for {mark!r} in {seen!r}")
        seen += os.read(terminal, 65536)
    before, seen = seen.split(mark, 1)
    return before


def send(text):
    os.write(terminal, text.encode())


# A key of its own prints the line as it is, between marks that the echo of the definition does not have.
send("PS1=; unsetopt zle_bracketed_paste prompt_sp; autoload -Uz compinit && compinit -u -D\n")
send("show() { print -r -- \"<\"\"<$BUFFER>\"\">\" }; zle -N show; bindkey '^Xs' show\n")
send(f"source {sys.argv[1]} && echo rea''dy\n")
until(b"ready")
send(sys.argv[2] + "\t" + "\x18s")
until(b"<<")
line = until(b">>").decode()
print(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line))
os.kill(pid, 9)
