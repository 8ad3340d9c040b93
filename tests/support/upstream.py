# Stands in for upstream's `limactl hostagent` and its QEMU: no locks, only pid files, a socket and words.
"""usage: upstream.py hostagent --pidfile FILE --socket FILE [--silent] NAME      and, for the VM, upstream.py -pidfile FILE
"""
import os
import signal
import socket
import subprocess
import sys


def after(option):
    return sys.argv[sys.argv.index(option) + 1]


def vm():
    with open(after("-pidfile"), "w") as file:
        file.write(f"{os.getpid()}\n")
    signal.pause()


def agent():
    pid_file, path = after("--pidfile"), after("--socket")
    directory = os.path.dirname(path)
    vm_pid_file = os.path.join(directory, "qemu.pid")
    child = subprocess.Popen([sys.executable, __file__, "-pidfile", vm_pid_file])
    with open(pid_file, "w") as file:
        file.write(f"{os.getpid()}\n")

    def end(*_):
        child.kill()
        child.wait()
        with open(os.path.join(directory, "ha.stdout.log"), "a") as events:
            events.write('{"time":"2026-11-25T03:14:04Z","status":{"exiting":true}}\n')
        for file in (pid_file, path, vm_pid_file):
            if os.path.exists(file):
                os.remove(file)
        sys.exit(0)

    signal.signal(signal.SIGINT, end)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(8)
    while True:
        connection, _ = server.accept()
        if "--silent" in sys.argv:
            continue
        request = connection.recv(4096).decode()
        if request.startswith("GET /v1/info "):
            status, body = "200 OK", '{"sshLocalPort":40022}'
        else:
            status, body = "404 Not Found", "404 page not found\n"
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        connection.close()


agent() if "hostagent" in sys.argv else vm()
