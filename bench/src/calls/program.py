"""A program that signs calls without sending them: a command per line on stdin, a JSON answer per line.

What is measured then sends the very bytes that boto3 would have sent, and Python is not in the way.
"""

import json
import os
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

NAME, GROUPS = "bench", 500

# Never the real AWS, whatever else is set.
endpoint = os.environ["AWS_ENDPOINT_URL"]
assert endpoint.startswith(("http://127.", "http://localhost:")), endpoint
once = Config(retries={"total_max_attempts": 1})
eks, ec2, iam = (boto3.client(service, config=once) for service in ("eks", "ec2", "iam"))
signers = {service: boto3.client(service, config=once) for service in ("eks", "ec2", "iam")}


class Signed(Exception):
    """In the place of an answer: the request as it would have been sent."""


def keep(request, **_):
    parts = urlsplit(request.url)
    path = parts.path + ("?" + parts.query if parts.query else "")
    text = lambda it: it.decode() if isinstance(it, bytes) else str(it)  # noqa: E731
    lines = [f"{request.method} {path or '/'} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {text(value)}" for name, value in request.headers.items()]
    raise Signed("\r\n".join(lines) + "\r\n\r\n" + text(request.body or ""))


for client in signers.values():
    client.meta.events.register("before-send", keep)


def role():
    """The one that a region of ours begins with; elsewhere it is made."""
    trust = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    try:
        return iam.get_role(RoleName="eks-cluster-role")["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        return iam.create_role(RoleName="eks-cluster-role", AssumeRolePolicyDocument=policy)["Role"]["Arn"]


def prepare():
    """Makes what is asked for afterwards: a cluster, and a VPC with 500 security groups."""
    global vpc, cluster
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    request = {"name": NAME, "roleArn": role(), "resourcesVpcConfig": {"subnetIds": subnets}}
    cluster = eks.create_cluster(**request)["cluster"]["arn"]
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    for n in range(GROUPS - 1):  # and the default one
        ec2.create_security_group(GroupName=f"{NAME}-{n}", Description="One of many", VpcId=vpc)
    found = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    assert len(found) == GROUPS, f"{len(found)} security groups"


calls = {
    "read": ("eks", "describe_cluster", lambda n: {"name": NAME}),
    "list": ("ec2", "describe_security_groups", lambda n: {"Filters": [{"Name": "vpc-id", "Values": [vpc]}]}),
    "write": ("eks", "tag_resource", lambda n: {"resourceArn": cluster, "tags": {"n": str(n)}}),
    "fill": ("iam", "create_user", lambda n: {"UserName": f"{NAME}-{n}"}),
}


def sign(what, first, count):
    """The requests of so many calls, each a text. They are good for five minutes."""
    service, method, arguments = calls[what]
    texts = []
    for n in range(int(first), int(first) + int(count)):
        try:
            getattr(signers[service], method)(**arguments(n))
        except Signed as signed:
            texts.append(str(signed))
    return texts


commands = {f.__name__: f for f in (prepare, sign)}
