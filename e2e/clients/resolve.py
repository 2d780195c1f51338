"""Asks a name server over UDP: {"server", "name", "type": "A" or "SRV"}. Prints the answers, sorted: addresses, or
[port, target] each."""

import json
import socket
import struct
import sys

TYPES = {"A": 1, "SRV": 33}


def encoded(name):
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def decoded(message, at):
    """A name at a place of a message, and where it ends there (RFC 1035, 4.1.4)."""
    labels, end = [], None
    while length := message[at]:
        if length >= 0xC0:
            end = end or at + 2
            at = struct.unpack_from("!H", message, at)[0] & 0x3FFF
        else:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
    return ".".join(labels), end or at + 1


def main():
    order = json.load(sys.stdin)
    kind = TYPES[order["type"]]
    question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + encoded(order["name"]) + struct.pack("!2H", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        stream.settimeout(3)
        stream.sendto(question, (order["server"], 53))
        reply = stream.recv(65535)
    found, at = [], len(question)
    for _ in range(struct.unpack_from("!H", reply, 6)[0]):
        _, at = decoded(reply, at)
        answered, _, _, length = struct.unpack_from("!HHIH", reply, at)
        at += 10
        if answered == kind == TYPES["A"]:
            found.append(socket.inet_ntoa(reply[at : at + 4]))
        elif answered == kind:
            found.append([struct.unpack_from("!H", reply, at + 4)[0], decoded(reply, at + 6)[0]])
        at += length
    return sorted(found)


json.dump(main(), sys.stdout)
