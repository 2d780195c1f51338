"""Creates a config map every 50 ms: {"host", "authority", "token", "seconds"}. Each is tried for 5 s at most, as often as
it takes; a repeated one that is there already was written by the try before. Prints the names that were acknowledged,
those that were given up, and the longest time between two acknowledgements in milliseconds."""

import http.client
import json
import ssl
import sys
import time


class Api:
    def __init__(self, order):
        self.order, self.connection = order, None

    def create(self, name):
        if self.connection is None:
            context = ssl.create_default_context(cadata=self.order["authority"])
            self.connection = http.client.HTTPSConnection(self.order["host"], timeout=1, context=context)
        headers = {"Authorization": "Bearer " + self.order["token"], "Content-Type": "application/json"}
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": name}})
        try:
            self.connection.request("POST", "/api/v1/namespaces/default/configmaps", body, headers)
            reply = self.connection.getresponse()
            reply.read()
            return reply.status in (201, 409)
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            return False


def main():
    order = json.load(sys.stdin)
    api, began = Api(order), time.monotonic()
    acknowledged, given_up, last, longest, n = [], [], began, 0, 0
    while time.monotonic() < began + order["seconds"]:
        name, until = f"written-{n:05}", time.monotonic() + 5
        while not (done := api.create(name)) and time.monotonic() < until:
            time.sleep(0.02)
        now = time.monotonic()
        if done:
            acknowledged.append(name)
            longest, last = max(longest, now - last), now
        else:
            given_up.append(name)
        n += 1
        time.sleep(max(0, 0.05 - (time.monotonic() - now)))
    return {"acknowledged": acknowledged, "given_up": given_up, "longest_gap_ms": int(longest * 1000)}


json.dump(main(), sys.stdout)
