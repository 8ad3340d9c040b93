# Stands in for a running QEMU: the same files, sockets and last words, no machine. What it does is told by $LIMA_TEST_WORLD/qemu.json:
#   refuse  words on stderr, then exit status 1            monitor  false: the monitor takes connections and never answers
#   power   false: the guest ignores the power button      sshd     false: the guest's port 22 is silent
#   serial  lines on the first serial port               human   answers of the human monitor, by command line
# As a VM it has a NIC for each netdev that is a descriptor or a stream socket: it sends one frame when it is connected, sends back what it gets, and
# notes in nics.log what happened. A stream connection that ends is made again if the command line says so.
import fcntl, json, os, signal, socket, stat, sys, threading, time

WORLD = os.environ["LIMA_TEST_WORLD"]
TUNGETVNETHDRSZ = 0x800454D7


def told(key, otherwise):
    try:
        with open(os.path.join(WORLD, "qemu.json")) as file:
            return json.load(file).get(key, otherwise)
    except FileNotFoundError:
        return otherwise


def values(option):
    return [sys.argv[i + 1] for i in range(1, len(sys.argv) - 1) if sys.argv[i] == option]


def part(text, key):
    return next((piece[len(key) + 1 :] for piece in text.split(",") if piece.startswith(key + "=")), None)


def refuse(words):
    print("qemu-system-x86_64: " + words, file=sys.stderr, flush=True)
    os._exit(1)


made = []


def end(code):
    for path in made:
        if os.path.exists(path):
            os.unlink(path)
    os._exit(code)


def listen(path):
    if os.path.exists(path):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(16)
    made.append(path)
    return server


def serve(server, handle):
    def loop():
        while True:
            connection, _ = server.accept()
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def monitor(connection):
    if not told("monitor", True):
        return time.sleep(1 << 20)
    stream = connection.makefile("rw")

    def say(message):
        stream.write(json.dumps(message) + "\r\n")
        stream.flush()

    try:
        say({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}})
        for line in stream:
            command = json.loads(line)
            with open(os.path.join(WORLD, "qmp.log"), "a") as log:
                human = command.get("arguments", {}).get("command-line")
                log.write(" ".join(filter(None, [command["execute"], human])) + "\n")
            answer = {}
            if human:
                answer = network() if human == "info network" else told("human", {}).get(human, "")
            if command["execute"] == "query-status":
                answer = {"status": "running", "singlestep": False, "running": True}
            if command["execute"] == "query-vnc":
                answer = {"enabled": True, "host": "127.0.0.1", "service": str(told("vnc", 5900))}
            if command["execute"] == "change-vnc-password":
                with open(os.path.join(WORLD, "vnc.password"), "w") as file:
                    file.write(command["arguments"]["password"])
            if command["execute"] == "screendump":
                with open(command["arguments"]["filename"], "wb") as picture:
                    is_png = command["arguments"]["format"] == "png"
                    picture.write(b"\x89PNG stand-in" if is_png else b"P6\n1 1\n255\nRGB")
            say({"return": answer, "id": command.get("id")})
            if command["execute"] == "quit" or (command["execute"] == "system_powerdown" and told("power", True)):
                end(0)
    except (BrokenPipeError, ConnectionResetError):
        pass


def note(line):
    with open(os.path.join(WORLD, "nics.log"), "a") as log:
        log.write(line + "\n")


def frames(read):
    """Frames with their length before them, from whatever gives bytes; ends with it."""
    buffer = b""
    while True:
        while len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[:4], "big"):
            more = read(65536)
            if not more:
                return
            buffer += more
        length = int.from_bytes(buffer[:4], "big")
        yield buffer[4 : 4 + length]
        buffer = buffer[4 + length :]


def talk(name, connection):
    note(f"{name} connected")
    try:
        first = b"hello from " + name.encode()
        connection.sendall(len(first).to_bytes(4, "big") + first)
        for frame in frames(connection.recv):
            connection.sendall(len(frame).to_bytes(4, "big") + frame)
    except OSError:
        pass
    note(f"{name} disconnected")


def stream_nic(netdev):
    name, path = part(netdev, "id"), netdev.split("addr.path=")[1].split(",reconnect")[0].replace(",,", ",")
    again = "reconnect" in netdev
    connected.discard(name)
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except OSError:
            if not again:
                return
            time.sleep(0.02)
            continue
        connected.add(name)
        talk(name, connection)
        connected.discard(name)
        if not again:
            return


connected = set()


def descriptor_nic(netdev):
    name, number = part(netdev, "id"), int(part(netdev, "fd"))
    kind = netdev.split(",")[0]
    if stat.S_ISSOCK(os.fstat(number).st_mode):
        threading.Thread(target=talk, args=(name, socket.socket(fileno=number)), daemon=True).start()
    elif stat.S_ISCHR(os.fstat(number).st_mode):
        # A real tap: a broadcast of an experimental type behind the header that the device wants.
        header = fcntl.ioctl(number, TUNGETVNETHDRSZ, bytes(4))
        frame = b"\xff" * 6 + bytes.fromhex("525555000001") + b"\x88\xb5" + f"hello from {name}".encode().ljust(46, b"\0")
        try:
            os.write(number, bytes(int.from_bytes(header, sys.byteorder)) + frame)
        except OSError as error:
            note(f"{name} {kind}: {error}")
    else:
        # A file stands for a tap: what is written to it is on the wire.
        os.write(number, f"hello from {name}".encode())
        note(f"{name} {kind} written")


def network():
    names = [part(netdev, "id") for netdev in values("-netdev") if netdev.startswith("stream,")]
    lines = [f" \\ {name}: index=0,type=stream,{'unix:/x' if name in connected else ''}" for name in names]
    return "\r\n".join(lines) + "\r\n"


def guest_sshd(connection):
    if not told("sshd", True):
        return time.sleep(1 << 20)
    try:
        connection.sendall(b"SSH-2.0-StandIn\r\n")
        connection.recv(1)
    except OSError:
        pass
    connection.close()


def note_descriptors():
    """What was inherited: those below are the standard streams, python's own are closed on exec."""
    numbers = sorted(int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2) if os.path.isdir("/proc/self/fd") else []
    inherited = []
    for number in numbers:
        try:
            inherited.append(f"{number} " + os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    with open(os.path.join(WORLD, "qemu.descriptors"), "w") as file:
        file.write("".join(line + "\n" for line in inherited))


def main():
    with open(os.path.join(WORLD, "qemu.argv"), "a") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    if told("refuse", None):
        refuse(told("refuse", None))
    note_descriptors()
    for netdev in values("-netdev"):
        if netdev.startswith("stream,"):
            threading.Thread(target=stream_nic, args=(netdev,), daemon=True).start()
        elif part(netdev, "fd"):
            descriptor_nic(netdev)
        forward = part(netdev, "hostfwd")
        if forward:
            host, port = forward.removeprefix("tcp:").split("-")[0].split(":")
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind((host, int(port)))
            except OSError:
                refuse(f"-netdev {netdev}: Could not set up host forwarding rule '{forward}'")
            server.listen(16)
            serve(server, guest_sshd)
            # For the stand-in of ssh: who is in the guest loses the connection when the VM goes.
            with open(os.path.join(WORLD, f"port-{port}"), "w") as file:
                file.write(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: end(0))
    (pidfile,) = values("-pidfile")
    with os.fdopen(os.open(pidfile, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(f"{os.getpid()}\n")
    made.append(pidfile)
    for chardev in values("-chardev"):
        path = part(chardev, "path")
        serve(listen(path), monitor if part(chardev, "id") == "char-qmp" else lambda connection: connection.recv(1))
        if part(chardev, "logfile"):
            with open(part(chardev, "logfile"), "w") as log:
                if part(chardev, "id") == "char-serial":
                    log.writelines(line + "\n" for line in told("serial", []))
    while True:
        signal.pause()


main()
