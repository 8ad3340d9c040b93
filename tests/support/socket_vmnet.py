#!/usr/bin/env python3
# Stands in for the daemon of a managed network: holds its pid file, takes connections at its sockets, moves no frame. What it hands out in place of
# a tap device is told by $LIMA_TEST_WORLD/tap.json: {"file": path} or {"refuse": words}; without that file it hands out nothing.
import array, fcntl, grp, json, os, signal, socket, sys, threading

WORLD = os.environ["LIMA_TEST_WORLD"]
PIDFILE = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--pidfile="))
GROUP = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--socket-group="))
SOCKET = sys.argv[-1]
TAPS = os.path.join(os.path.dirname(SOCKET), SOCKET.rsplit("socket_vmnet.", 1)[1] + "_tap.sock")
made = []


def end(*_):
    for path in made:
        os.unlink(path)
    os._exit(0)


def listen(path):
    if os.path.exists(path):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    os.chmod(path, 0o770)
    server.listen(16)
    made.append(path)
    return server


def lend(server, told):
    while True:
        client, _ = server.accept()
        if "refuse" in told:
            client.sendall(b"E" + told["refuse"].encode())
        else:
            number = os.open(told["file"], os.O_WRONLY)
            client.sendmsg([b"T"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [number]))])
            os.close(number)
        client.close()


for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, end)
pid_file = open(PIDFILE, "a+")
fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
pid_file.truncate(0)
pid_file.write(str(os.getpid()))
pid_file.flush()
made.append(PIDFILE)
try:
    with open(os.path.join(WORLD, "tap.json")) as file:
        threading.Thread(target=lend, args=(listen(TAPS), json.load(file)), daemon=True).start()
except FileNotFoundError:
    pass
server = listen(SOCKET)
clients = []
while True:
    clients.append(server.accept()[0])
