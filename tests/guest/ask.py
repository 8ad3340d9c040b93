# Asks the name server of the default network as a guest does. Words: NAME…; answers: a line `TRANSPORT NAME RCODE ADDRESS…` each.
import socket
import struct
import sys

SERVER = ("192.168.5.3", 53)


def question(name):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def read(reply, length):
    count = struct.unpack(">H", reply[6:8])[0]
    at, addresses = length, []
    for _ in range(count):
        while reply[at] and reply[at] < 0xC0:
            at += 1 + reply[at]
        at += 2 if reply[at] else 1
        kind, _, _, size = struct.unpack(">HHIH", reply[at : at + 10])
        if kind == 1:
            addresses.append(socket.inet_ntoa(reply[at + 10 : at + 14]))
        at += 10 + size
    return [str(reply[3] & 15)] + addresses


def udp(asked):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.sendto(asked, SERVER)
        return client.recv(4096)


def tcp(asked):
    with socket.create_connection(SERVER, 20) as client:
        client.sendall(struct.pack(">H", len(asked)) + asked)
        stream = client.makefile("rb")
        return stream.read(struct.unpack(">H", stream.read(2))[0])


for name in sys.argv[1:]:
    for transport in (udp, tcp):
        asked = question(name)
        print(transport.__name__, name, *read(transport(asked), len(asked)))
