#!/usr/bin/python3
"""The API's Upgrade: berth-frames (docs/API.md) from a client's side.
usage: frames.py PORT HOST TOKEN PATH JSON [SIGNAL]    stdin is sent, output and exit status are the program's
SIGNAL is sent once the program has said something."""
import base64
import json
import select
import socket
import struct
import sys


def frame(kind, data=b''):
    return kind + struct.pack('>I', len(data)) + data


def head(sock):
    text = b''
    while b'\r\n\r\n' not in text:
        piece = sock.recv(4096)
        if not piece:
            break
        text += piece
    first, _, rest = text.partition(b'\r\n\r\n')
    return first, rest


def main():
    port, host, token, path, body = sys.argv[1:6]
    signal = int(sys.argv[6]) if len(sys.argv) > 6 else 0
    json.loads(body)
    sock = socket.create_connection(('127.0.0.1', int(port)), timeout=30)
    sock.sendall(('POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\n'
                  'Upgrade: berth-frames\r\nBerth-Body: %s\r\n\r\n'
                  % (path, host, token, base64.b64encode(body.encode()).decode())).encode())
    answer, text = head(sock)
    if not answer.startswith(b'HTTP/1.1 101'):
        sys.exit('%s %s' % (answer.splitlines()[0].decode(), text.decode()))
    source = None if signal else sys.stdin.buffer.raw
    while True:
        while len(text) >= 5:
            kind, size = text[:1], struct.unpack('>I', text[1:5])[0]
            if len(text) < 5 + size:
                break
            data, text = text[5:5 + size], text[5 + size:]
            if kind == b'X':
                sys.exit(data[0])
            out = sys.stdout if kind == b'1' else sys.stderr
            out.buffer.write(data)
            out.flush()
            if signal:
                sock.sendall(frame(b'S', bytes([signal])))
                signal = 0
        ready = select.select([sock] + ([source] if source else []), [], [], 30)[0]
        if not ready:
            sys.exit('nothing came for 30 s')
        if source in ready:
            data = source.read(65536)
            sock.sendall(frame(b'0', data))
            if not data:
                source = None
        if sock in ready:
            piece = sock.recv(65536)
            if not piece:
                sys.exit('the connection ended without a status')
            text += piece


main()
