"""Makes the calls of a JSON list with boto3, one after the other, and prints what each got."""

import datetime
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

REAL_NOW = botocore.auth.get_current_datetime
# The API is to judge the input, and its first answer is the one of interest.
CONFIG = Config(parameter_validation=False, retries={"total_max_attempts": 1})


def set_clock(seconds):
    def now(*arguments, **options):
        return REAL_NOW(*arguments, **options) + datetime.timedelta(seconds=seconds)

    botocore.auth.get_current_datetime = now


def plain(value):
    """Without what differs from answer to answer."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key != "ResponseMetadata"}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def client_of(service, clients):
    if service not in clients:
        clients[service] = boto3.client(service, config=CONFIG)
    return clients[service]


def make(call, clients):
    client = client_of(call["service"], clients)
    if "pages" not in call:
        return getattr(client, call["operation"])(**call["input"])
    pages = client.get_paginator(call["operation"])
    return list(pages.paginate(PaginationConfig={"PageSize": call["pages"]}, **call["input"]))


def answer(call, clients):
    set_clock(call.get("clock", 0))
    try:
        return {"output": plain(make(call, clients))}
    except ClientError as error:
        body = dict(error.response)
        status = body.pop("ResponseMetadata")["HTTPStatusCode"]
        known = body.pop("Error")
        error = {"code": known["Code"], "message": known["Message"], "status": status, "members": body}
        return {"error": error}
    except BotoCoreError as error:
        return {"error": {"code": type(error).__name__, "message": str(error), "status": 0, "members": {}}}


def answers_of(call, clients):
    if "at_once" not in call:
        return answer(call, clients)
    number = call["at_once"]
    together = threading.Barrier(number)
    # Threads may share a client, and may not make one.
    client_of(call["service"], clients)

    def begin(_):
        together.wait()
        return answer(call, clients)

    with ThreadPoolExecutor(number) as threads:
        return {"output": list(threads.map(begin, range(number)))}


def main():
    clients = {}
    answers = [answers_of(call, clients) for call in json.load(sys.stdin)]
    json.dump(answers, sys.stdout, default=str)


main()
