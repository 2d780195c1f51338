"""Dials an API server and asks for a path: {"host", "source"?, "authority"?, "path"?, "token"?}. Prints how that went."""

import json
import socket
import ssl
import sys


def ask(stream, order):
    context = ssl.create_default_context(cadata=order["authority"])
    with context.wrap_socket(stream, server_hostname=order["host"]) as secured:
        lines = [f"GET {order['path']} HTTP/1.0", f"Host: {order['host']}"]
        if "token" in order:
            lines.append(f"Authorization: Bearer {order['token']}")
        secured.sendall("\r\n".join([*lines, "", ""]).encode())
        reply = b"".join(iter(lambda: secured.recv(65536), b"")).decode()
    head, body = reply.split("\r\n\r\n", 1)
    return {"status": int(head.split(" ")[1]), "body": body}


def main():
    order = json.load(sys.stdin)
    source = (order["source"], 0) if "source" in order else None
    try:
        stream = socket.create_connection((order["host"], 443), timeout=3, source_address=source)
    except OSError as error:
        return {"failed": str(error)}
    with stream:
        return ask(stream, order) if "path" in order else {"connected": True}


json.dump(main(), sys.stdout)
