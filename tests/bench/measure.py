# Measures limactl and prints what it found: a line each, with the aim behind it. Words: LIMACTL GUEST-FOLDER|- IDLE-SECONDS.
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

LIMACTL, GUEST, IDLE = sys.argv[1], sys.argv[2], float(sys.argv[3])
TICKS = os.sysconf("SC_CLK_TCK")


def say(what, figure, aim=""):
    print(f"{what:58} {figure:>22}   {aim}", flush=True)


class World:
    """A home of its own; its instance, if it runs, ends with it."""

    def __enter__(self):
        self.root = tempfile.mkdtemp(prefix="lb", dir="/tmp")
        self.home = os.path.join(self.root, "lh")
        os.mkdir(os.path.join(self.root, "h"))
        kept = {name: os.environ[name] for name in ("PATH", "LIMA_QEMU_ACCEL") if name in os.environ}
        self.env = kept | {"HOME": os.path.join(self.root, "h"), "LIMA_HOME": self.home, "TMPDIR": self.root}
        return self

    def __exit__(self, *_):
        for name in os.listdir(self.home) if os.path.isdir(self.home) else []:
            if not name.startswith("_"):
                self.run("delete", "-f", name)
        shutil.rmtree(self.root)

    def run(self, *words):
        return subprocess.run([LIMACTL, *words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def path(self, *parts):
        return os.path.join(self.home, *parts)


def spent(words, env, times):
    """Milliseconds of each run, sorted."""
    taken = []
    for _ in range(times):
        begin = time.monotonic()
        subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        taken.append((time.monotonic() - begin) * 1000)
    return sorted(taken)


def figure(taken, peer):
    median = statistics.median(taken)
    return f"{median:.1f} ms ({median / peer:.1f} x true)"


def commands(world):
    peer = statistics.median(spent(["/bin/true"], world.env, 50))
    say("`/bin/true`, the peer of the next two", f"{peer:.1f} ms")
    say("`limactl --version`, median of 50", figure(spent([LIMACTL, "--version"], world.env, 50), peer), "aim: under 10 ms")
    image = os.path.join(world.root, "image.raw")
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    text = f"images:\n- location: {image}\n  arch: {os.uname().machine}\ndisk: 16MiB\n"
    with open(os.path.join(world.root, "n0.yaml"), "w") as file:
        file.write(text)
    made = world.run("create", os.path.join(world.root, "n0.yaml"))
    if made.returncode:
        sys.exit("bench: error: " + made.stderr)
    for number in range(1, 100):
        shutil.copytree(world.path("n0"), world.path(f"n{number}"))
    shown = world.run("list").stdout.count("Stopped")
    taken = spent([LIMACTL, "list"], world.env, 20)
    large = os.path.join(world.root, "large.yaml")
    script = "".join(f"    echo line {number} of a script  # with a comment\n" for number in range(60))
    with open(large, "w") as file:
        file.write("# a large template\nbase: template:default\n" + text + "provision:\n")
        file.writelines(f"# script {number}\n- mode: system\n  script: |\n    #!/bin/sh\n{script}" for number in range(20))
    size = os.path.getsize(large) // 1024
    taken = spent([LIMACTL, "validate", large], world.env, 20)
    say(f"`limactl validate` of a template of {size} KiB with bases", figure(taken, peer), "aim: under 50 ms")
    bare = os.path.join(world.root, "bare.yaml")
    with open(large) as source, open(bare, "w") as file:
        file.write(source.read().replace("base: template:default\n", ""))
    taken = []
    for number in range(20):
        taken += spent([LIMACTL, "edit", bare, "--set", f".cpus = {number % 4 + 1}"], world.env, 1)
    say(f"`limactl edit --set` of a file of {size} KiB", figure(taken, peer), "aim: under 20 ms")
    say(f"`limactl list` with {shown} stopped instances, median of 20", figure(taken, peer), "aim: under 50 ms")


def wait(condition, patience=900.0):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class Observer(threading.Thread):
    """Sees a guest become ready without limactl's help: its console, and an ssh connection of its own."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.entered, self.marked = world, None, None

    def port(self):
        found = re.search(r'"sshLocalPort":(\d+)', read(self.world.path("g", "ha.stdout.log")))
        return found and int(found[1])

    def greets(self, port):
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.settimeout(5)
                return client.recv(4) == b"SSH-"
        except OSError:
            return False

    def run(self):
        threading.Thread(target=self.watch_console, daemon=True).start()
        port = wait(self.port)
        wait(lambda: self.greets(port))
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=QUIET"]
        user = re.search(r"^  User (\S+)", read(self.world.path("g", "ssh.config")), re.M)[1]
        words = ["ssh", "-F", "/dev/null", "-i", self.world.path("_config", "user"), "-p", str(port)]
        words += [word for option in options for word in ("-o", option)] + [f"{user}@127.0.0.1", "true"]
        wait(lambda: subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0)
        self.entered = time.monotonic()

    def watch_console(self):
        wait(lambda: re.search(r"LIMA-BOOT \S+ done", read(self.world.path("g", "serial.log"))))
        self.marked = time.monotonic()


def boot(world):
    """Starts the instance and gives the moments at which it was seen ready, and READY."""
    observer = Observer(world)
    observer.start()
    begin = time.monotonic()
    start = subprocess.Popen([LIMACTL, "start", os.path.join(GUEST, "debian-direct.yaml"), "--name=g"], env=world.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ready = None
    lines = []
    for line in start.stderr:
        lines.append(line)
        if "READY." in line:
            ready = time.monotonic()
    if start.wait() or ready is None:
        sys.exit("bench: error: " + "".join(lines))
    seen = wait(lambda: observer.entered and observer.marked and max(observer.entered, observer.marked), 60)
    say("start of the command to READY (direct kernel boot)", f"{ready - begin:.1f} s")
    say("  the first ssh session of an observer", f"{observer.entered - begin:.1f} s")
    say("  `LIMA-BOOT … done` on the console", f"{observer.marked - begin:.1f} s")
    say("READY behind the later of the two", f"{ready - seen:.2f} s", "aim: at most 2 s")


def cpu(pid):
    fields = read(f"/proc/{pid}/stat").rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def idle(world):
    pid = int(read(world.path("g", "ha.pid")))
    before = cpu(pid)
    time.sleep(IDLE)
    used = cpu(pid) - before
    resident = int(re.search(r"VmRSS:\s+(\d+)", read(f"/proc/{pid}/status"))[1]) / 1024
    say(f"host agent, idle for {IDLE:.0f} s: resident", f"{resident:.1f} MB", "aim: under 12 MB")
    say("  share of one core", f"{used / IDLE * 100:.2f} %", "aim: under 0.2 %")


def stop(world, what, aim):
    pid = int(read(world.path("g", "qemu.pid")))
    down = {}

    def watch():
        wait(lambda: "Power down" in read(world.path("g", "serial.log")) or not os.path.exists(f"/proc/{pid}"), 300)
        down["guest"] = time.monotonic()
        wait(lambda: not os.path.exists(f"/proc/{pid}") or ") Z " in read(f"/proc/{pid}/stat"), 300)
        down["qemu"] = time.monotonic()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    begin = time.monotonic()
    ended = world.run("stop", "g")
    end = time.monotonic()
    watcher.join(60)
    if ended.returncode:
        sys.exit("bench: error: " + ended.stderr)
    say(f"stop, {what}: whole command", f"{end - begin:.2f} s", aim if what != "booted" else "")
    if what == "booted":
        say("  guest down to end of the command", f"{end - down['guest']:.2f} s", aim)
        say("  end of QEMU to end of the command", f"{end - down['qemu']:.2f} s")


def stop_while_booting(world):
    # The console of the boot before must not be taken for this one's.
    os.remove(world.path("g", "serial.log"))
    start = subprocess.Popen([LIMACTL, "start", "g"], env=world.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: "Linux version" in read(world.path("g", "serial.log")), 300)
    stop(world, "while booting", "aim: at most 10 s")
    start.wait()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    say("this machine", f"{os.cpu_count()} processors", f"load {os.getloadavg()[0]:.1f}")
    say(f"size of {os.path.basename(LIMACTL)}", f"{os.path.getsize(LIMACTL) / 1e6:.1f} MB", "aim: under 15 MB (release)")
    with World() as world:
        commands(world)
    if GUEST != "-":
        with World() as world:
            boot(world)
            idle(world)
            stop(world, "booted", "aim: at most 3 s")
            stop_while_booting(world)


main()
