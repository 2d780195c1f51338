"""Makes the calls of a JSON list with boto3, whose bodies are coded as they say, and prints what each got.

No model of these services asks for it, so it is written into the model before the client reads it: `requestcompression` and
`httpChecksum` are what botocore then does by itself.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

TRAITS = {
    "gzip": {"requestcompression": {"encodings": ["gzip"]}},
    "crc32": {"httpChecksum": {"requestChecksumRequired": True}},
}
CONFIG = Config(request_min_compression_size_bytes=1, retries={"total_max_attempts": 1})


def make(call):
    client = boto3.Session().client(call["service"], config=CONFIG)  # With a model of its own.
    name = client.meta.method_to_api_mapping[call["operation"]]
    sent = {}

    def note(request, **_):
        sent.update({header.lower(): str(value) for header, value in request.headers.items()})
        if "damage" in call:
            request.headers[call["damage"]] = "AAAAAA=="

    for trait in call["traits"]:
        client.meta.service_model._service_description["operations"][name].update(TRAITS[trait])
    client.meta.events.register(f"before-sign.{call['service']}", note)
    try:
        output = getattr(client, call["operation"])(**call["input"])
        output.pop("ResponseMetadata")
        return {"output": output, "sent": sent}
    except ClientError as error:
        return {"error": error.response["Error"], "sent": sent}


json.dump([make(call) for call in json.load(sys.stdin)], sys.stdout, default=str)
