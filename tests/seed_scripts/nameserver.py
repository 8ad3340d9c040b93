# A nameserver that has one address for every name. Words: ADDRESS UDP-PORT TCP-PORT ANSWER READY-FILE; the file appears when both are open.
import socket
import socketserver
import sys
import threading

ADDRESS, UDP, TCP, ANSWER, READY = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]


def reply(question):
    end = 12
    while question[end]:
        end += question[end] + 1
    head = question[:2] + b"\x85\x80\0\x01\0\x01\0\0\0\0"
    return head + question[12 : end + 5] + b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04" + socket.inet_aton(ANSWER)


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
