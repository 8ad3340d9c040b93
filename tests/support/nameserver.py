# A nameserver that knows what it is told: A records, and TXT of the same names, which say who answered; NXDOMAIN for every other name.
# Words: ADDRESS UDP-PORT TCP-PORT READY-FILE NAME=ADDRESS…; `*` is every name. READY-FILE appears when both ports are open.
import socket
import socketserver
import sys
import threading

ADDRESS, UDP, TCP, READY = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
KNOWN = dict(word.split("=") for word in sys.argv[5:])
A, TXT = 1, 16


def reply(question):
    end, labels = 12, []
    while question[end]:
        labels.append(question[end + 1 : end + 1 + question[end]])
        end += question[end] + 1
    name, kind = b".".join(labels).decode().lower(), int.from_bytes(question[end + 1 : end + 3])
    address = KNOWN.get(name, KNOWN.get("*"))
    text = f"from {ADDRESS}".encode()
    data = {A: address and socket.inet_aton(address), TXT: bytes([len(text)]) + text}.get(kind) if address else None
    # An authoritative answer; recursion is there.
    head = question[:2] + bytes([0x85, 0x80 if address else 0x83, 0, 1, 0, 1 if data else 0, 0, 0, 0, 0])
    record = b"\xc0\x0c" + kind.to_bytes(2) + b"\0\x01\0\0\0\x05" + len(data).to_bytes(2) + data if data else b""
    return head + question[12 : end + 5] + record


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        question, client = self.request
        client.sendto(reply(question), self.client_address)


class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        while length := self.rfile.read(2):
            answer = reply(self.rfile.read(int.from_bytes(length)))
            self.wfile.write(len(answer).to_bytes(2) + answer)


socketserver.TCPServer.allow_reuse_address = True
datagrams = socketserver.UDPServer((ADDRESS, UDP), Datagram)
streams = socketserver.ThreadingTCPServer((ADDRESS, TCP), Stream)
threading.Thread(target=datagrams.serve_forever, daemon=True).start()
open(READY, "w").close()
streams.serve_forever()
