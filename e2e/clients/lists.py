"""Prints the operations that are served and cut their results into pages, as botocore's models describe them.

Takes the text of models/ops.toml, which names the operations that are served.
"""

import json
import sys
import tomllib

import botocore.session
from botocore import xform_name


def shapes(shape):
    return shape.members if shape else {}


def result_keys(rule):
    keys = rule["result_key"]
    return keys if isinstance(keys, list) else [keys]


def lists(session, service, served):
    model = session.get_service_model(service, served["model"].split("/")[1])
    rules = session.get_paginator_model(service)._paginator_config
    for operation in served["operations"]:
        described = model.operation_model(operation)
        tokens = [name for name in shapes(described.input_shape) if name.lower() in ("nexttoken", "marker")]
        if operation not in rules:
            assert not tokens, f"{service} {operation} takes {tokens}, and botocore has no paginator for it"
            continue
        rule = rules[operation]
        size = described.input_shape.members[rule["limit_key"]].metadata
        yield {
            "service": service,
            "operation": xform_name(operation),
            "token": rule["input_token"],
            "next": rule["output_token"],
            "size": rule["limit_key"],
            "least": size.get("min"),
            "most": size.get("max"),
            "results": result_keys(rule),
        }


def main():
    session = botocore.session.get_session()
    served = tomllib.loads(json.load(sys.stdin))
    services = [(name, of) for name, of in served.items() if "operations" in of]
    found = [one for name, of in services for one in lists(session, name, of)]
    json.dump(found, sys.stdout)


main()
