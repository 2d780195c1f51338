"""Uses an API server as a patient client does, while a process of the cluster is sent a signal:
{"host", "authority", "token", "pid", "signal", "seconds"}; the signal goes out after two seconds, and all times are from
then. Each request is tried three times within two seconds, on connection failure, reset, 429 and 5xx. Prints
{"requests", "errors": [[time, why], ..], "retried", "watches": [time at which one ended, ..]}."""

import http.client
import json
import os
import ssl
import sys
import threading
import time

BEFORE = 2.0
TRIES, WITHIN = 3, 2.0
# For the last try's answer: a busy machine is slow, and that is no error.
LAST = 5.0
WATCHES = 16

order = json.load(sys.stdin)
began = time.monotonic() + BEFORE
end = began + order["seconds"]
context = ssl.create_default_context(cadata=order["authority"])
headers = {"Authorization": "Bearer " + order["token"]}
report = {"requests": 0, "errors": [], "retried": 0, "watches": []}
lock = threading.Lock()


def now():
    return round(time.monotonic() - began, 2)


def connect(timeout):
    return http.client.HTTPSConnection(order["host"], 443, timeout=timeout, context=context)


def get(connection, path):
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status == 429 or answer.status >= 500:
        raise OSError(f"status {answer.status}")
    return answer.status


def patiently(connection, path):
    """One request; the connection it ended on, how many tries it took, and why it failed if it did."""
    started, why = time.monotonic(), None
    for n in range(TRIES):
        time.sleep(max(0.0, started + n * WITHIN / TRIES - time.monotonic()))
        try:
            connection = connection or connect(LAST if n == TRIES - 1 else WITHIN / TRIES)
            status = get(connection, path)
            if connection.sock:
                connection.sock.settimeout(WITHIN / TRIES)
            return connection, n, None if status == 200 else f"status {status}"
        except (OSError, http.client.HTTPException) as error:
            why = repr(error)
            connection.close()
            connection = None
    return None, TRIES, why


def requests(keep):
    connection = None
    while time.monotonic() < end:
        at = now()
        connection, retries, why = patiently(connection, "/api/v1/namespaces/default")
        if connection and not keep:
            connection.close()
            connection = None
        with lock:
            report["requests"] += 1
            report["retried"] += retries > 0
            if why:
                report["errors"].append([at, why])
        time.sleep(0.05)


def watch():
    connection = connect(BEFORE + order["seconds"])
    connection.request("GET", "/api/v1/namespaces/default/configmaps?watch=true&labelSelector=nobody", headers=headers)
    try:
        answer = connection.getresponse()
        while answer.readline():
            pass
    except TimeoutError:
        return
    except (OSError, http.client.HTTPException):
        pass
    with lock:
        report["watches"].append(now())


for _ in range(WATCHES):
    threading.Thread(target=watch, daemon=True).start()
threads = [threading.Thread(target=requests, args=[keep]) for keep in (False, True)]
for thread in threads:
    thread.start()
time.sleep(max(0.0, began - time.monotonic()))
os.kill(order["pid"], order["signal"])
for thread in threads:
    thread.join()
with lock:
    json.dump(report, sys.stdout)
