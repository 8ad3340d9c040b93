# Measures how fast an image comes, is decompressed and proved, beside programs in a pipe on the same file. Words: LIMACTL [MIB].
import hashlib
import http.server
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

LIMACTL = sys.argv[1]
MIB = int(sys.argv[2]) if len(sys.argv) > 2 else 1024
ROUNDS = 5


def say(what, figure, aim=""):
    print(f"{what:58} {figure:>22}   {aim}", flush=True)


def make_image(path):
    """The machine's own programs and libraries, which is what images are full of, and an eighth of nothing."""
    left = MIB * 7 // 8 << 20
    with open(path, "wb") as image:
        while left > 0:
            before = left
            for folder, _, names in os.walk("/usr"):
                for name in sorted(names):
                    file = os.path.join(folder, name)
                    if left > 0 and not os.path.islink(file) and os.path.isfile(file) and os.access(file, os.R_OK):
                        with open(file, "rb") as source:
                            left -= image.write(source.read(left))
            if left == before:
                sys.exit("bench: error: /usr has nothing that can be read")
        image.truncate(MIB << 20)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    handler = lambda *words: Quiet(*words, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def seconds(run):
    os.sync()
    begin = time.monotonic()
    run()
    return time.monotonic() - begin


def shell(script, folder):
    subprocess.run(["bash", "-c", f"set -o pipefail; {script}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main():
    missing = [name for name in ("curl", "zstd", "sha256sum") if not shutil.which(name)]
    if missing:
        print(f"bench: skipped: downloads, because {', '.join(missing)} is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="lb") as root:
        served, work = os.path.join(root, "served"), os.path.join(root, "work")
        os.mkdir(served)
        os.mkdir(work)
        image = os.path.join(served, "i.raw")
        make_image(image)
        packed = image + ".zst"
        subprocess.run(["zstd", "-q", "-T0", "--rm", image, "-o", packed], check=True)
        digest = hashlib.file_digest(open(packed, "rb"), "sha256").hexdigest()
        url = f"{serve(served)}/i.raw.zst"
        yaml = os.path.join(root, "d.yaml")
        arch = os.uname().machine
        with open(yaml, "w") as text:
            text.write(f"images: [{{location: '{url}', arch: {arch}, digest: 'sha256:{digest}'}}]\n")
            text.write(f"disk: {MIB}MiB\ncpus: 1\nmemory: 512MiB\n")
        env = {"PATH": os.environ["PATH"], "HOME": work, "LIMA_HOME": os.path.join(work, "lh")}

        def limactl(*words):
            done = subprocess.run([LIMACTL, *words], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"bench: error: limactl {' '.join(words)}: {done.stderr}")

        def forget():
            limactl("delete", "-f", "d")
            limactl("prune")

        def plain():
            shell(f"curl -sSf {url} | zstd -dcq | sha256sum", work)

        def kept():
            shell(f"curl -sSf {url} | tee data >(sha256sum >sum) | zstd -dcq >disk && sync -d data disk", work)

        # The first one makes the ssh key, too.
        limactl("create", yaml)
        forget()
        taken = {"plain": [], "kept": [], "ours": []}
        for _ in range(ROUNDS):
            taken["plain"].append(seconds(plain))
            taken["kept"].append(seconds(kept))
            taken["ours"].append(seconds(lambda: limactl("create", yaml)))
            forget()
        median = {name: statistics.median(times) for name, times in taken.items()}
        size = f"{os.path.getsize(packed) >> 20} MiB for {MIB} MiB"
        say(f"curl | zstd -d | sha256sum ({size})", f"{MIB / median['plain']:.0f} MiB/s")
        say("curl | tee data >(sha256sum) | zstd -d >disk; sync", f"{MIB / median['kept']:.0f} MiB/s")
        say("limactl create: the same, kept, proved and synced", f"{MIB / median['ours']:.0f} MiB/s")
        say("ratio to the pipe that keeps nothing", f"{median['plain'] / median['ours']:.2f}", "at least 0.8")
        say("ratio to the pipe that keeps both files", f"{median['kept'] / median['ours']:.2f}")


main()
