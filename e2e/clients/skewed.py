"""Makes the calls of a JSON list with boto3 by a clock that is wrong, sets it by the `Date` of the answer as other SDKs do
by themselves, and makes them again. Prints the codes of both answers: botocore reads that header, and corrects nothing."""

import datetime
import email.utils
import json
import sys

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError

REAL_NOW = botocore.auth.get_current_datetime
CONFIG = Config(retries={"total_max_attempts": 1})


def set_clock(off):
    botocore.auth.get_current_datetime = lambda *arguments, **options: REAL_NOW(*arguments, **options) + off


def attempt(call):
    """Its code, and the server's clock."""
    client = boto3.client(call["service"], config=CONFIG)
    try:
        code, answer = "OK", getattr(client, call["operation"])()
    except ClientError as error:
        code, answer = error.response["Error"]["Code"], error.response
    date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    return code, email.utils.parsedate_to_datetime(date)


def make(call):
    off = datetime.timedelta(seconds=call["clock"])
    set_clock(off)
    first, theirs = attempt(call)
    ours = datetime.datetime.now(datetime.timezone.utc) + off
    set_clock(off + (theirs - ours))
    return [first, attempt(call)[0]]


json.dump([make(call) for call in json.load(sys.stdin)], sys.stdout)
