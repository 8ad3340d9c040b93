# Measures the host resolver beside dnsmasq and prints a table. Words: LIMACTL FOLDER ROUNDS SECONDS SOAK-MINUTES WHAT,…; run by dns.sh in namespaces of its own.
#
# One nameserver (nsd) answers behind both, on 127.0.0.1:53. What is compared takes turns in short rounds, and the ratio is the median of
# the rounds' ratios, so that what else the machine does falls on both.
import collections
import os
import re
import statistics
import subprocess
import sys
import time

LIMACTL, FOLDER = sys.argv[1], sys.argv[2]
ROUNDS, SECONDS, SOAK = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
WHAT = sys.argv[6].split(",")
DIRECT, OURS, PEER = 53, 5301, 5302
TYPES = {"A": 1, "TXT": 16, "AAAA": 28}
NAMES = 1000
TICKS = os.sysconf("SC_CLK_TCK")
# A first label of this length never gets through to the nameserver.
BLACK_HOLE = 40


def say(what, ours, peer="", ratio="", aim=""):
    print(f"{what:52} {ours:>16} {peer:>16} {ratio:>8}   {aim}", flush=True)


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def run(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: error: {' '.join(words)}: {done.stderr or done.stdout}")
    return done.stdout


def ask(*words):
    return run(os.path.join(FOLDER, "dns_ask"), *map(str, words))


def settle():
    """The network and the files of a host of one's own."""
    run("ip", "link", "set", "lo", "up")
    run("mount", "--make-rprivate", "/")
    files = {
        "resolv.conf": "nameserver 127.0.0.1\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "hosts": "127.0.0.1 localhost\n10.98.76.54 only-in-hosts.test\n",
    }
    for name, text in files.items():
        run("mount", "--bind", write(name, text), f"/etc/{name}")


def begin(name, words, env=None):
    log = open(os.path.join(FOLDER, f"{name}.log"), "w")
    return subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log).pid


def nameserver():
    zone = "$ORIGIN {0}.\n$TTL {1}\n@ SOA ns.{0}. h.{0}. 1 3600 600 86400 60\n@ NS ns.{0}.\nns A 127.0.0.1\n"
    records = '* A 192.0.2.1\n* AAAA 2001:db8::1\n* TXT "a text of some length, as they are"\n'
    text = f'server:\n ip-address: 127.0.0.1@53\n username: ""\n chroot: ""\n zonesdir: "{FOLDER}"\n database: ""\n'
    text += f' pidfile: "{FOLDER}/nsd.pid"\n xfrdfile: "{FOLDER}/nsd.xfrd"\n zonelistfile: "{FOLDER}/nsd.zones"\n'
    # It answers all that it is asked, however often.
    text += " rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\nremote-control:\n control-enable: no\n"
    for name, ttl in (("bench.test", 3600), ("short.test", 1)):
        write(f"{name}.zone", zone.format(name, ttl) + records)
        text += f'zone:\n name: "{name}"\n zonefile: "{name}.zone"\n'
    begin("nsd", ["nsd", "-d", "-c", write("nsd.conf", text)])


def settled(port):
    """Waits until a server answers."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        done = subprocess.run([os.path.join(FOLDER, "dns_ask"), "ask", "1", "ready.bench.test", "1", "1", "0", "1", str(port)], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.split()[2:3] == ["0"]:
            return
        time.sleep(0.05)
    logs = "".join(open(os.path.join(FOLDER, name)).read() for name in ("nsd.log", "limactl.log", "dnsmasq.log"))
    sys.exit(f"bench: error: nothing answers on port {port}; the servers say:\n{logs}")


def limactl():
    home = os.path.join(FOLDER, "home")
    os.makedirs(home, exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": home, "LIMA_HOME": home}
    return begin("limactl", [LIMACTL, "debug", "dns", str(OURS), str(OURS), "--ipv6"], env)


def dnsmasq():
    words = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--group=root", "--pid-file="]
    words += ["--server=127.0.0.1", f"--port={PEER}", "--listen-address=127.0.0.1", "--bind-interfaces", "--cache-size=10000"]
    return begin("dnsmasq", ["dnsmasq", *words, "--dns-forward-max=20000", "--log-facility=-"])


def cpu(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid):
    """Resident now and at most, in MiB."""
    with open(f"/proc/{pid}/status") as file:
        text = file.read()
    return [int(re.search(rf"{key}:\s+(\d+)", text)[1]) / 1024 for key in ("VmRSS", "VmHWM")]


Load = collections.namedtuple("Load", "rate completed lost errors")


def dnsperf(port, file, *words, seconds=SECONDS):
    text = run("dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", file, "-l", str(seconds), *words)
    number = lambda pattern: float(re.search(pattern, text)[1])
    completed = number(r"Queries completed:\s+(\d+)")
    good = sum(int(count) for count in re.findall(r"(?:NOERROR|NXDOMAIN) (\d+)", text))
    return Load(number(r"Queries per second:\s+([\d.]+)"), completed, number(r"Queries lost:\s+(\d+)"), completed - good)


def faults(loads):
    lost, wrong = sum(load.lost for load in loads), sum(load.errors for load in loads)
    total = sum(load.completed + load.lost for load in loads)
    return f"{lost:.0f} lost, {wrong:.0f} wrong of {total:.0f}"


def middle(pairs):
    """Medians of both sides, and the median of the pairs' ratios."""
    ours, peer = zip(*pairs)
    return statistics.median(ours), statistics.median(peer), statistics.median(a / b for a, b in pairs)


def cached(pids, names):
    rates, costs, loads = [], [], {OURS: [], PEER: []}
    for port in (OURS, PEER):
        dnsperf(port, names, "-c", "4", seconds=1)
    for number in range(ROUNDS):
        seen = {}
        for port in (OURS, PEER)[:: 1 if number % 2 else -1]:
            before = cpu(pids[port])
            load = dnsperf(port, names, "-c", "4", "-q", "200")
            loads[port].append(load)
            seen[port] = load.rate, (cpu(pids[port]) - before) / load.completed * 100_000
        rates.append((seen[OURS][0], seen[PEER][0]))
        costs.append((seen[OURS][1], seen[PEER][1]))
    ours, peer, ratio = middle(rates)
    say("cached, UDP: queries per second", f"{ours:.0f}", f"{peer:.0f}", f"{ratio:.2f}", "at least 1")
    say("", *(faults(loads[port]) for port in (OURS, PEER)))
    ours, peer, ratio = middle(costs)
    say("  processor time per 100,000", f"{ours:.2f} s", f"{peer:.2f} s", f"{ratio:.2f}", "at most 1")


def tcp(names):
    rates, loads = [], {OURS: [], PEER: []}
    for number in range(ROUNDS):
        seen = {}
        for port in (OURS, PEER)[:: 1 if number % 2 else -1]:
            seen[port] = dnsperf(port, names, "-m", "tcp", "-c", "4", "-q", "200")
            loads[port].append(seen[port])
        rates.append((seen[OURS].rate, seen[PEER].rate))
    ours, peer, ratio = middle(rates)
    say("cached, 4 TCP connections, pipelined: per second", f"{ours:.0f}", f"{peer:.0f}", f"{ratio:.2f}", "at least 1")
    say("", *(faults(loads[port]) for port in (OURS, PEER)), "", "nothing lost")


def times(ports, *words):
    """Microseconds of every exchange, by port; what was lost or answered with a code counts in `wrong`."""
    found, wrong = {port: [] for port in ports}, {port: 0 for port in ports}
    for line in ask("ask", *words, *ports).splitlines():
        target, took, code, answers = map(int, line.split())
        found[ports[target]].append(took / 1000 if took >= 0 else 1e7)
        wrong[ports[target]] += code != 0 or answers == 0
    return found, wrong


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def latency():
    ports = (OURS, PEER)
    times(ports, 1, "n#.bench.test", NAMES, NAMES, 0, 1)
    # 500 µs between two questions: 2,000 in a second, in blocks of a tenth of one.
    found, wrong = times(ports, 1, "n#.bench.test", ROUNDS * SECONDS * 1000, NAMES, 500, 200)
    for name, share in (("median", 0.5), ("99 of 100", 0.99)):
        ours, peer = (quantile(found[port], share) for port in ports)
        aim = "at most 1" if share == 0.5 else ""
        say(f"cached, UDP, 2,000 per second: {name}", f"{ours:.1f} µs", f"{peer:.1f} µs", f"{ours / peer:.2f}", aim)
    if any(wrong.values()):
        say("", *(f"{wrong[port]} wrong" for port in ports))


def misses():
    ports = (DIRECT, OURS, PEER)
    for name, kind in TYPES.items():
        found, wrong = times(ports, kind, f"m#-{name}.bench.test".lower(), ROUNDS * 400, 0, 0, 1)
        direct = statistics.median(found[DIRECT])
        ours, peer = (statistics.median(b - a for a, b in zip(found[DIRECT], found[port])) for port in ports[1:])
        say(f"miss, {name}: added to {direct:.1f} µs of asking directly", f"{ours:.1f} µs", f"{peer:.1f} µs", f"{ours / peer:.2f}", "under 50 µs")
        if any(wrong.values()):
            say("", *(f"{wrong[port]} wrong" for port in ports[1:]))


def held(pid):
    """What others see while 10,000 questions wait for a nameserver that never answers them."""
    # Name, modulus of its number, port. The last one is what the machine does under such a load, whoever is asked.
    kinds = {
        "a cached name": ("n0000001.bench.test", 1, OURS),
        "a name of /etc/hosts": ("only-in-hosts.test", 1, OURS),
        "a name of a healthy domain, a miss": ("h{}-#.bench.test", 0, OURS),
        "the nameserver itself": ("n0000001.bench.test", 1, DIRECT),
    }

    def look(seconds):
        """All kinds in turn, a twentieth of a second each, so that what comes in waves falls on all of them."""
        found, end = collections.defaultdict(list), time.monotonic() + seconds
        while time.monotonic() < end:
            for what, (name, modulus, port) in kinds.items():
                taken, wrong = times((port,), 1, name.format(time.monotonic_ns()), 50, modulus, 1000, 50)
                found[what] += taken[port]
                failures[what] += wrong[port]
        return found

    failures = collections.Counter()
    look(1)
    quiet, loaded, notes = [], [], []
    for number in range(ROUNDS):
        quiet.append(look(SECONDS))
        # `#` becomes seven digits.
        pattern = f"b{number:03}#".ljust(BLACK_HOLE - 6, "x") + ".bench.test"
        words = ["hold", pattern, "10000", str(2 * SECONDS + 6), str(OURS)]
        load = subprocess.Popen([os.path.join(FOLDER, "dns_ask"), *words], stdout=subprocess.PIPE, text=True)
        first = load.stdout.readline()
        loaded.append(look(2 * SECONDS))
        last = load.communicate()[0]
        notes.append((first.strip() == "full", *map(float, (last or first).split())))
    for what in kinds:
        collect = lambda rounds: [value for seen in rounds for value in seen[what]]
        ratio = statistics.median(statistics.median(b[what]) / statistics.median(a[what]) for a, b in zip(quiet, loaded))
        before, after = collect(quiet), collect(loaded)
        say(f"{what}, 10,000 held / none held", f"{statistics.median(after):.1f} µs", f"{statistics.median(before):.1f} µs", f"{ratio:.2f}", "no delay")
        wrong = f"{failures[what]} wrong" if failures[what] else ""
        say("  99 of 100; the longest", *(f"{quantile(seen, 0.99):.0f}; {max(seen):.0f} µs" for seen in (after, before)), "", wrong)
    dropped = int(re.search(r"packets (\d+)", run("nft", "list", "chain", "ip", "bench", "input"))[1])
    full = sum(note[0] for note in notes)
    say("  rounds in which 10,000 were out; answered after", f"{full} of {len(notes)}; {statistics.median(note[3] for note in notes):.0f} ms")
    say("  questions that they sent; that the black hole got", f"{sum(note[1] for note in notes):.0f}; {dropped}")
    say("  resident after it; at most", "{:.1f}; {:.1f} MiB".format(*memory(pid)), "", "", "under 64 MB")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def soak(pid):
    lines = []
    for number in range(200_000):
        # One in twenty has been forgotten by everybody when its turn comes again: names that live for a second.
        lines.append(f"s{number}.short.test A" if number % 20 == 0 else f"n{number % NAMES:07}.bench.test {'A' if number % 3 else 'AAAA'}")
    file = write("soak.txt", "\n".join(lines) + "\n")
    few = write("few.txt", "\n".join(f"n{number:07}.bench.test A" for number in range(NAMES)) + "\n")
    dnsperf(OURS, file, "-c", "8", "-q", "200", seconds=10)
    begun, marks, loads = time.monotonic(), [], []
    for quarter in range(5):
        marks.append((memory(pid)[0], descriptors(pid)))
        if quarter == 4:
            break
        end = begun + SOAK * 60 * (quarter + 1) / 4
        connections = subprocess.Popen(["bash", "-c", f"while :; do dnsperf -s 127.0.0.1 -p {OURS} -d {few} -m tcp -c 10 -Q 500 -l 2; done"], stdout=subprocess.DEVNULL)
        loads.append(dnsperf(OURS, file, "-c", "8", "-q", "200", "-Q", "20000", seconds=max(1, round(end - time.monotonic()))))
        connections.kill()
        # The last of its dnsperf ends by itself, and its connections with it.
        time.sleep(3)
    rate = statistics.median(load.rate for load in loads)
    say(f"soak, {SOAK:g} min at {rate:.0f} per second", faults(loads))
    say("  resident, MiB: begin, quarters, end", " ".join(f"{mark[0]:.1f}" for mark in marks), "", f"{marks[-1][0] / marks[0][0]:.2f}", "flat")
    say("  descriptors", " ".join(str(mark[1]) for mark in marks), "", "", "none lost")


def main():
    settle()
    nameserver()
    pids = {OURS: limactl(), PEER: dnsmasq()}
    for port in (DIRECT, OURS, PEER):
        settled(port)
    names = write("names.txt", "\n".join(f"n{number:07}.bench.test A" for number in range(NAMES)) + "\n")
    say(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}", "limactl", "dnsmasq", "ratio", "aim")
    if "cached" in WHAT:
        cached(pids, names)
    if "latency" in WHAT:
        latency()
    if "tcp" in WHAT:
        tcp(names)
    if "misses" in WHAT:
        misses()
    say("resident so far; at most", *("{:.1f}; {:.1f} MiB".format(*memory(pids[port])) for port in (OURS, PEER)))
    if "held" in WHAT:
        rule = f"udp dport 53 @th,160,8 {BLACK_HOLE} counter drop"
        run("nft", f"add table ip bench; add chain ip bench input {{ type filter hook input priority 0; }}; add rule ip bench input {rule}")
        held(pids[OURS])
    if "soak" in WHAT:
        soak(pids[OURS])


main()
