"""Makes the calls of a JSON list with boto3, one after the other, and prints what each got."""

import datetime
import json
import sys

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError

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


def make(call, clients):
    client = clients.setdefault(call["service"], boto3.client(call["service"], config=CONFIG))
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


def main():
    clients = {}
    answers = [answer(call, clients) for call in json.load(sys.stdin)]
    json.dump(answers, sys.stdout, default=str)


main()
