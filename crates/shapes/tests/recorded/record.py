"""Records what botocore sends for every operation that we serve: python3 record.py > requests.json

A request is caught before it leaves, so nothing is sent. Signatures are left out: wire::sigv4 has its own recordings.
"""

import json
import sys

import botocore
import botocore.session

TAGS = {"team": "a b+c", "stage": "ünï/code=1&2"}
EC2_TAGS = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "a b"}, {"Key": "empty", "Value": ""}]}]
ARN = "arn:aws:eks:us-east-1:111122223333:cluster/demo"
ROLE = "arn:aws:iam::111122223333:role/path/eks"
DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}'

CALLS = {
    "eks": {
        "CreateAccessEntry": {
            "clusterName": "demo",
            "principalArn": ROLE,
            "kubernetesGroups": ["viewers"],
            "username": "a:{{SessionName}}",
            "type": "STANDARD",
            "clientRequestToken": "a-token",
            "tags": TAGS,
        },
        "CreateAddon": {
            "clusterName": "demo",
            "addonName": "vpc-cni",
            "addonVersion": "v0.1.0-eksbuild.1",
            "serviceAccountRoleArn": ROLE,
            "resolveConflicts": "OVERWRITE",
            "configurationValues": '{"env": {"WARM_ENI_TARGET": "2"}}',
            "clientRequestToken": "a-token",
            "tags": TAGS,
        },
        "CreateCluster": {
            "name": "demo",
            "version": "1.36",
            "roleArn": "arn:aws:iam::111122223333:role/eks",
            "resourcesVpcConfig": {
                "subnetIds": ["subnet-1", "subnet-2"],
                "securityGroupIds": [],
                "endpointPublicAccess": False,
                "publicAccessCidrs": ["0.0.0.0/0"],
            },
            "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.100.0.0/16", "ipFamily": "ipv4"},
            "logging": {"clusterLogging": [{"types": ["api", "controllerManager"], "enabled": True}]},
            "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:::key/1"}}],
            "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"},
            "clientRequestToken": "a-token",
            "tags": TAGS,
        },
        "DeleteAccessEntry": {"clusterName": "demo", "principalArn": ROLE},
        "DeleteAddon": {"clusterName": "demo", "addonName": "coredns", "preserve": True},
        "DeleteCluster": {"name": "demo"},
        "DescribeAccessEntry": {"clusterName": "demo", "principalArn": ROLE},
        "DescribeAddon": {"clusterName": "demo", "addonName": "coredns"},
        "DescribeAddonConfiguration": {"addonName": "coredns", "addonVersion": "v1.14.7-eksbuild.1"},
        "DescribeAddonVersions": {"kubernetesVersion": "1.36", "addonName": "coredns", "types": ["networking"]},
        "DescribeCluster": {"name": "a name/with ü"},
        "DescribeClusterVersions": {"clusterVersions": ["1.35", "1.36"], "defaultOnly": True, "maxResults": 5},
        "ListAccessEntries": {"clusterName": "demo", "maxResults": 5},
        "ListAddons": {"clusterName": "demo", "maxResults": 5, "nextToken": "a/b+c=="},
        "ListClusters": {"maxResults": 1, "nextToken": "a/b+c==", "include": ["all"]},
        "ListTagsForResource": {"resourceArn": ARN},
        "TagResource": {"resourceArn": ARN, "tags": TAGS},
        "UntagResource": {"resourceArn": ARN, "tagKeys": ["team", "a b"]},
        "UpdateAccessEntry": {"clusterName": "demo", "principalArn": ROLE, "kubernetesGroups": []},
        "UpdateAddon": {
            "clusterName": "demo",
            "addonName": "coredns",
            "resolveConflicts": "PRESERVE",
            "configurationValues": "replicaCount: 3",
            "clientRequestToken": "a-token",
        },
    },
    "iam": {
        "AttachRolePolicy": {"RoleName": "eks", "PolicyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"},
        "CreateAccessKey": {"UserName": "ada"},
        "CreateRole": {
            "RoleName": "eks",
            "Path": "/a/b/",
            "AssumeRolePolicyDocument": DOCUMENT,
            "MaxSessionDuration": 3600,
            "Tags": [{"Key": "k", "Value": "v w"}, {"Key": "k2", "Value": ""}],
        },
        "CreateUser": {"UserName": "ada", "Tags": []},
        "DeleteAccessKey": {"UserName": "ada", "AccessKeyId": "AKIAIOSFODNN7EXAMPLE"},
        "DeleteRole": {"RoleName": "eks"},
        "DetachRolePolicy": {"RoleName": "eks", "PolicyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"},
        "GetRole": {"RoleName": "a=b,c@d"},
        "ListAttachedRolePolicies": {"RoleName": "eks", "MaxItems": 2},
        "ListRoles": {"PathPrefix": "/a/", "Marker": "m", "MaxItems": 10},
    },
    "sts": {"GetCallerIdentity": {}},
    "ec2": {
        "CreateSecurityGroup": {"GroupName": "g", "Description": "a group", "VpcId": "vpc-1", "DryRun": True},
        "CreateSubnet": {"VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1a"},
        "CreateVpc": {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "default", "TagSpecifications": EC2_TAGS},
        "DeleteSecurityGroup": {"GroupId": "sg-1"},
        "DeleteSubnet": {"SubnetId": "subnet-1"},
        "DeleteVpc": {"VpcId": "vpc-1"},
        "DescribeAvailabilityZones": {"ZoneNames": ["us-east-1a"], "AllAvailabilityZones": False},
        "DescribeSecurityGroups": {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1", "vpc-2"]}]},
        "DescribeSubnets": {"SubnetIds": ["subnet-1", "subnet-2"]},
        "DescribeVpcs": {
            "VpcIds": [f"vpc-{n}" for n in range(12)],
            "Filters": [{"Name": "tag:a", "Values": ["b"]}, {"Name": "is-default", "Values": ["true"]}],
            "MaxResults": 5,
        },
    },
}


def record(session, service, operation, params):
    client = session.create_client(
        service, region_name="us-east-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret"
    )
    caught = {}

    def catch(request, **_):
        caught.update(
            service=service,
            operation=operation,
            params=params,
            method=request.method,
            url=request.url.split(".com", 1)[1],
            content_type=request.headers.get("Content-Type", b""),
            body=request.body or b"",
        )
        for key in ("content_type", "body"):
            if isinstance(caught[key], bytes):
                caught[key] = caught[key].decode()
        raise KeyboardInterrupt

    client.meta.events.register("before-send", catch)
    try:
        client._make_api_call(operation, params)
    except KeyboardInterrupt:
        return caught
    raise RuntimeError(f"{operation} was not caught")


def main():
    session = botocore.session.get_session()
    requests = [
        record(session, service, operation, params)
        for service, calls in CALLS.items()
        for operation, params in calls.items()
    ]
    json.dump({"botocore": botocore.__version__, "requests": requests}, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
