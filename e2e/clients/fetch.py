"""Asks for a URL: {"url", "method"?, "headers"?}. Prints {"status", "body"}, or {"failed"} if nobody answers in time."""

import json
import sys
import urllib.error
import urllib.request

PATIENCE = 3


def main():
    order = json.load(sys.stdin)
    method, headers = order.get("method", "GET"), order.get("headers", {})
    request = urllib.request.Request(order["url"], method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as reply:
            return {"status": reply.status, "body": reply.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}
    except OSError as error:
        return {"failed": str(error)}


json.dump(main(), sys.stdout)
