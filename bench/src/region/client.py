"""A program that uses the region's API through boto3 as it is: a command per line on stdin, a JSON answer per line.

It runs before the clock starts, so what is timed is calls, not the start of Python.
"""

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode
from pathlib import Path

import boto3
from botocore.config import Config

INTERVAL, LIMIT = float(os.environ["INTERVAL"]), float(os.environ["LIMIT"])
NAME = "bench"

# Never the real AWS, whatever else is set.
endpoint = os.environ["AWS_ENDPOINT_URL"]
assert endpoint.startswith("http://127."), endpoint
once = Config(retries={"total_max_attempts": 1})
eks, ec2, iam = (boto3.client(service, config=once) for service in ("eks", "ec2", "iam"))


def state(name=NAME):
    """Of the cluster; None if there is none."""
    try:
        return eks.describe_cluster(name=name)["cluster"]
    except eks.exceptions.ResourceNotFoundException:
        return None


def timed(call, done):
    """Seconds from the call until it is done."""
    began = time.monotonic()
    call()
    while not done():
        if time.monotonic() > began + LIMIT:
            raise TimeoutError(f"after {LIMIT:.0f} s: {state()}")
        time.sleep(INTERVAL)
    return time.monotonic() - began


def prepare():
    """Finds what CreateCluster is told; every client has spoken once."""
    global request
    assert state() is None
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    role = iam.get_role(RoleName="eks-cluster-role")["Role"]["Arn"]
    request = {"name": NAME, "roleArn": role, "resourcesVpcConfig": {"subnetIds": subnets}}
    return 0


def awaited(call, waiter):
    """Seconds from the call until the waiter has seen what it waits for, as users wait: the answers to a waiter's
    questions are held until there is news, so asking costs nothing that the cluster's start would need."""
    began = time.monotonic()
    call()
    eks.get_waiter(waiter).wait(name=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": int(LIMIT)})
    return time.monotonic() - began


def create():
    seconds = awaited(lambda: eks.create_cluster(**request), "cluster_active")
    assert state()["status"] == "ACTIVE"
    return seconds


def together(number):
    """Seconds from the first CreateCluster of several until each was active; they are deleted again."""
    names = [f"{NAME}-{n}" for n in range(int(number))]
    began, seconds = time.monotonic(), {}

    def all_active():
        for name in names:
            if name not in seconds and state(name)["status"] == "ACTIVE":
                seconds[name] = time.monotonic() - began
        return len(seconds) == len(names)

    timed(lambda: [eks.create_cluster(**request | {"name": name}) for name in names], all_active)
    timed(lambda: [eks.delete_cluster(name=name) for name in names], lambda: not eks.list_clusters()["clusters"])
    return sorted(seconds.values())


def answer():
    """That the endpoint is what it says: asks it, trusting only the cluster's own authority."""
    cluster = state()
    authority = b64decode(cluster["certificateAuthority"]["data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    began = time.monotonic()
    with urllib.request.urlopen(cluster["endpoint"] + "/readyz", context=context, timeout=5) as response:
        assert response.read() == b"ok"
    return time.monotonic() - began


def delete():
    return awaited(lambda: eks.delete_cluster(name=NAME), "cluster_deleted")


def nodes(name, kind, count="1"):
    """Asks for a node group; when that was, seconds since 1970."""
    role = iam.get_role(RoleName="eks-node-role")["Role"]["Arn"]
    count = int(count)
    wish = {"scalingConfig": {"minSize": 0, "maxSize": count, "desiredSize": count}, "instanceTypes": [kind]}
    asked = time.time()
    eks.create_nodegroup(
        clusterName=NAME, nodegroupName=name, nodeRole=role, subnets=request["resourcesVpcConfig"]["subnetIds"], **wish
    )
    return asked


def no_nodes(name):
    """Deletes a node group; seconds until it was gone."""
    group = {"clusterName": NAME, "nodegroupName": name}
    began = time.monotonic()
    eks.delete_nodegroup(**group)
    waiter = eks.get_waiter("nodegroup_deleted")
    waiter.wait(**group, WaiterConfig={"Delay": 1, "MaxAttempts": int(LIMIT)})
    return time.monotonic() - began


def prefixes():
    """Has nodes take /28 prefixes for their pods' addresses: with that, EKS lets a node have 110 pods."""
    settings = json.dumps({"env": {"ENABLE_PREFIX_DELEGATION": "true"}})
    eks.create_addon(
        clusterName=NAME, addonName="vpc-cni", configurationValues=settings, resolveConflicts="OVERWRITE"
    )
    eks.get_waiter("addon_active").wait(
        clusterName=NAME, addonName="vpc-cni", WaiterConfig={"Delay": 1, "MaxAttempts": int(LIMIT)}
    )
    return 0


def access():
    """Where the cluster is and how its creator gets in."""
    cluster = state()
    aws = Path(sys.executable).with_name("aws")
    command = [aws, "eks", "get-token", "--cluster-name", NAME, "--output", "json"]
    token = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["status"]["token"]
    authority = b64decode(cluster["certificateAuthority"]["data"]).decode()
    return {"endpoint": cluster["endpoint"], "authority": authority, "token": token}


def health():
    """What the region says is wrong with the cluster."""
    return [issue["message"] for issue in state()["health"]["issues"]]


commands = {f.__name__: f for f in (prepare, create, together, answer, delete, nodes, no_nodes, prefixes, access, health)}
