# Says what getaddrinfo says: reads lines "NAME FAMILY", writes a JSON list of {"addresses": […]} or {"error": CODE}.
import json
import socket
import sys

EAI_SYSTEM = -11
FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}

seen = []
for line in sys.stdin:
    name, family = line.split()
    try:
        found = socket.getaddrinfo(name, None, FAMILIES[family], socket.SOCK_STREAM)
        seen.append({"addresses": sorted({entry[4][0].split("%")[0] for entry in found})})
    except OSError as error:
        seen.append({"error": error.errno if isinstance(error, socket.gaierror) else EAI_SYSTEM})
json.dump(seen, sys.stdout)
