#!/usr/bin/env python3
"""A WebSocket client for tests: sends each argument as a text message and prints each answer.

usage: ws.py PORT HOST PATH MESSAGE...
"""
import base64
import hashlib
import os
import socket
import struct
import sys


def read(sock, n):
    data = b""
    while len(data) < n:
        chunk = sock.recv(n - len(data))
        if not chunk:
            sys.exit("closed")
        data += chunk
    return data


def send_text(sock, text):
    data, mask = text.encode(), os.urandom(4)
    head = bytes([0x81])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(data))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(data))
    sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))


def receive(sock):
    kind, size = read(sock, 2)
    size &= 0x7F
    if size == 126:
        size = struct.unpack("!H", read(sock, 2))[0]
    elif size == 127:
        size = struct.unpack("!Q", read(sock, 8))[0]
    return kind & 0x0F, read(sock, size)


def main():
    port, host, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall((
        "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (path, host, key)).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(sock, 1)
    if b" 101 " not in head.split(b"\r\n")[0]:
        sys.exit(head.decode("latin-1"))
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    if accept not in head:
        sys.exit("wrong Sec-WebSocket-Accept")
    for message in sys.argv[4:]:
        send_text(sock, message)
        kind, data = receive(sock)
        if kind != 1:
            sys.exit("frame of kind %d" % kind)
        print(data.decode())


if __name__ == "__main__":
    main()
