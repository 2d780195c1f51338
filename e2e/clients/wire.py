"""Sends the HTTP requests of a JSON list, signed by botocore and then changed as they say, and prints the replies."""

import datetime
import http.client
import json
import os
import sys
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REAL_NOW = botocore.auth.get_current_datetime
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
REGION = os.environ["AWS_REGION"]
CREDENTIALS = Credentials(
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN")
)


def set_clock(seconds):
    def now(*arguments, **options):
        return REAL_NOW(*arguments, **options) + datetime.timedelta(seconds=seconds)

    botocore.auth.get_current_datetime = now


def signed(order):
    body = order.get("body", "").encode()
    request = AWSRequest(order["method"], ENDPOINT + order["path"], order.get("headers", {}), body)
    set_clock(order.get("clock", 0))
    if order["sign"] == "header":
        botocore.auth.SigV4Auth(CREDENTIALS, order["service"], REGION).add_auth(request)
    elif order["sign"] == "query":
        expires = order["expires"]
        botocore.auth.SigV4QueryAuth(CREDENTIALS, order["service"], REGION, expires).add_auth(request)
    return request.url[len(ENDPOINT):], dict(request.headers.items()), body


def send(order):
    path, headers, body = signed(order)
    if "tamper" in order:
        old, new = order["tamper"]
        path = path.replace(old, new)
        headers = {name: str(value).replace(old, new) for name, value in headers.items()}
        body = body.replace(old.encode(), new.encode())
    if order.get("pieces"):
        # Of unknown length, so http.client sends it chunked.
        body = iter([body[:7], body[7:]])
    connection = http.client.HTTPConnection(urlsplit(ENDPOINT).netloc, timeout=30)
    try:
        connection.request(order["method"], path, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        pass  # Refused before it was read to its end; the reply says why.
    reply = connection.getresponse()
    text = reply.read().decode()
    return {"status": reply.status, "body": text, "headers": {k.lower(): v for k, v in reply.getheaders()}}


def main():
    json.dump([send(order) for order in json.load(sys.stdin)], sys.stdout)


main()
