"""Prints the operations that are served and make something, with the input member that makes a retry of them harmless.

Takes the text of models/ops.toml, which names the operations that are served.
"""

import json
import sys
import tomllib

import botocore.session
from botocore import xform_name

MAKES = ("Allocate", "Create", "Import", "Register", "Run")


def token(described):
    members = described.input_shape.members if described.input_shape else {}
    return next((name for name, member in members.items() if member.metadata.get("idempotencyToken")), None)


def creates(session, service, served):
    model = session.get_service_model(service, served["model"].split("/")[1])
    for operation in served["operations"]:
        if operation.startswith(MAKES):
            described = model.operation_model(operation)
            yield {"service": service, "operation": xform_name(operation), "token": token(described)}


def main():
    session = botocore.session.get_session()
    served = tomllib.loads(json.load(sys.stdin))
    services = [(name, of) for name, of in served.items() if "operations" in of]
    json.dump([one for name, of in services for one in creates(session, name, of)], sys.stdout)


main()
