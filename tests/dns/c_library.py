# Says what getaddrinfo says under many configurations: reads {"names": […], "cases": [{FILE: TEXT}, …]}, writes a list of lists of
# {"addresses": […]} or {"error": CODE}, for each case and name A, then AAAA; or null where the C library is not glibc 2.34 or later.
# Each case is a process of its own, because the C library reads some files once in a lifetime. The files are written into /etc.
import json
import os
import socket
import sys


def version():
    try:
        library, number = os.confstr("CS_GNU_LIBC_VERSION").split()
        return tuple(int(part) for part in number.split(".")) if library == "glibc" else ()
    except (AttributeError, ValueError, OSError):
        return ()


def say(name, family):
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
        return {"addresses": sorted({entry[4][0].split("%")[0] for entry in found})}
    except OSError as error:
        return {"error": error.errno}


def case(files, names):
    for name, text in files.items():
        with open("/etc/" + name, "w", newline="") as file:
            file.write(text)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        said = [say(name, family) for name in names for family in (socket.AF_INET, socket.AF_INET6)]
        with os.fdopen(writer, "w") as pipe:
            json.dump(said, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    # Nothing: the C library crashed.
    return json.loads(said) if said else None


asked = json.load(sys.stdin)
json.dump([case(files, asked["names"]) for files in asked["cases"]] if version() >= (2, 34) else None, sys.stdout)
