"""Records what botocore sends for every operation that we serve: python3 record.py > requests.json

A request is caught before it leaves, so nothing is sent. Signatures are left out: wire::sigv4 has its own recordings.
"""

import base64
import json
import sys

import botocore
import botocore.session

TAGS = {"team": "a b+c", "stage": "ünï/code=1&2"}
EC2_TAGS = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "a b"}, {"Key": "empty", "Value": ""}]}]
ARN = "arn:aws:eks:us-east-1:111122223333:cluster/demo"
ROLE = "arn:aws:iam::111122223333:role/path/eks"
REPOSITORY = "arn:aws:ecr:us-east-1:111122223333:repository/team/web"
DIGEST = "sha256:" + "0123456789abcdef" * 4
POLICY = "arn:aws:iam::111122223333:policy/team/read"
PROVIDER = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/0123"
THUMBPRINT = "9e99a48a9960b14926bb7f3b02e22da2b0ab7280"
KEY = "01234567-0123-4123-8123-0123456789ab"
LOG_GROUP = "arn:aws:logs:us-east-1:111122223333:log-group:/aws/eks/prod/cluster"
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
        "RegisterCluster": {
            "name": "theirs",
            "connectorConfig": {"roleArn": ROLE, "provider": "GKE"},
            "clientRequestToken": "a-token",
            "tags": TAGS,
        },
        "DeregisterCluster": {"name": "theirs"},
        "DeleteAccessEntry": {"clusterName": "demo", "principalArn": ROLE},
        "DeleteAddon": {"clusterName": "demo", "addonName": "coredns", "preserve": True},
        "DeleteCluster": {"name": "demo"},
        "DescribeAccessEntry": {"clusterName": "demo", "principalArn": ROLE},
        "DescribeAddon": {"clusterName": "demo", "addonName": "coredns"},
        "DescribeAddonConfiguration": {"addonName": "coredns", "addonVersion": "v1.14.7-eksbuild.1"},
        "DescribeAddonVersions": {"kubernetesVersion": "1.36", "addonName": "coredns", "types": ["networking"]},
        "DescribeCluster": {"name": "a name/with ü"},
        "DescribeClusterVersions": {"clusterVersions": ["1.35", "1.36"], "defaultOnly": True, "maxResults": 5},
        "CreateNodegroup": {
            "clusterName": "demo",
            "nodegroupName": "workers",
            "scalingConfig": {"minSize": 0, "maxSize": 3, "desiredSize": 2},
            "diskSize": 30,
            "subnets": ["subnet-1", "subnet-2"],
            "instanceTypes": ["m5.large", "m6i.large"],
            "amiType": "AL2023_x86_64_STANDARD",
            "nodeRole": "arn:aws:iam::111122223333:role/a/node",
            "labels": {"team": "a"},
            "taints": [{"key": "k", "value": "", "effect": "NO_SCHEDULE"}],
            "tags": TAGS,
            "clientRequestToken": "a-token",
            "updateConfig": {"maxUnavailablePercentage": 20, "updateStrategy": "MINIMAL"},
            "nodeRepairConfig": {"enabled": True, "maxParallelNodesRepairedCount": 1},
            "capacityType": "ON_DEMAND",
        },
        "DeleteNodegroup": {"clusterName": "demo", "nodegroupName": "workers"},
        "DescribeNodegroup": {"clusterName": "demo", "nodegroupName": "a name/with ü"},
        "DescribeUpdate": {"name": "demo", "updateId": "u-1", "nodegroupName": "workers"},
        "ListNodegroups": {"clusterName": "demo", "maxResults": 1, "nextToken": "a/b+c=="},
        "ListUpdates": {"name": "demo", "nodegroupName": "workers", "maxResults": 2},
        "UpdateClusterConfig": {
            "name": "demo",
            "resourcesVpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.0/24"]},
            "clientRequestToken": "a-token",
        },
        "UpdateClusterVersion": {"name": "demo", "version": "1.37", "force": True, "clientRequestToken": "a-token"},
        "UpdateNodegroupConfig": {
            "clusterName": "demo",
            "nodegroupName": "workers",
            "labels": {"addOrUpdateLabels": {"a": "b"}, "removeLabels": ["c"]},
            "taints": {"removeTaints": [{"key": "k", "effect": "NO_EXECUTE"}]},
            "scalingConfig": {"desiredSize": 1},
            "clientRequestToken": "a-token",
        },
        "UpdateNodegroupVersion": {
            "clusterName": "demo",
            "nodegroupName": "workers",
            "launchTemplate": {"name": "t", "version": "2"},
            "force": True,
            "clientRequestToken": "a-token",
        },
        "ListAccessEntries": {"clusterName": "demo", "maxResults": 5},
        "ListAddons": {"clusterName": "demo", "maxResults": 5, "nextToken": "a/b+c=="},
        "ListClusters": {"maxResults": 1, "nextToken": "a/b+c==", "include": ["all"]},
        "ListTagsForResource": {"resourceArn": ARN},
        "TagResource": {"resourceArn": ARN, "tags": TAGS},
        "UntagResource": {"resourceArn": ARN, "tagKeys": ["team", "a b"]},
        "UpdateAccessEntry": {
            "clusterName": "demo",
            "principalArn": ROLE,
            "kubernetesGroups": [],
            "clientRequestToken": "a-token",
        },
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
        "UpdateRole": {"RoleName": "eks", "Description": "", "MaxSessionDuration": 7200},
        "UpdateAssumeRolePolicy": {"RoleName": "eks", "PolicyDocument": DOCUMENT},
        "TagRole": {"RoleName": "eks", "Tags": [{"Key": "k", "Value": "ü"}]},
        "UntagRole": {"RoleName": "eks", "TagKeys": ["k", "a b"]},
        "ListRoleTags": {"RoleName": "eks"},
        "PutRolePolicy": {"RoleName": "eks", "PolicyName": "inline", "PolicyDocument": DOCUMENT},
        "GetRolePolicy": {"RoleName": "eks", "PolicyName": "inline"},
        "ListRolePolicies": {"RoleName": "eks", "MaxItems": 1},
        "DeleteRolePolicy": {"RoleName": "eks", "PolicyName": "inline"},
        "PutRolePermissionsBoundary": {"RoleName": "eks", "PermissionsBoundary": POLICY},
        "DeleteRolePermissionsBoundary": {"RoleName": "eks"},
        "PutUserPermissionsBoundary": {"UserName": "ada", "PermissionsBoundary": POLICY},
        "DeleteUserPermissionsBoundary": {"UserName": "ada"},
        "CreateInstanceProfile": {"InstanceProfileName": "nodes", "Path": "/a/", "Tags": [{"Key": "k", "Value": "v"}]},
        "GetInstanceProfile": {"InstanceProfileName": "nodes"},
        "ListInstanceProfiles": {"PathPrefix": "/a/"},
        "ListInstanceProfilesForRole": {"RoleName": "eks"},
        "AddRoleToInstanceProfile": {"InstanceProfileName": "nodes", "RoleName": "eks"},
        "RemoveRoleFromInstanceProfile": {"InstanceProfileName": "nodes", "RoleName": "eks"},
        "DeleteInstanceProfile": {"InstanceProfileName": "nodes"},
        "TagInstanceProfile": {"InstanceProfileName": "nodes", "Tags": [{"Key": "k", "Value": ""}]},
        "UntagInstanceProfile": {"InstanceProfileName": "nodes", "TagKeys": ["k"]},
        "ListInstanceProfileTags": {"InstanceProfileName": "nodes"},
        "CreatePolicy": {
            "PolicyName": "read",
            "Path": "/team/",
            "PolicyDocument": DOCUMENT,
            "Description": "what ada reads",
            "Tags": [{"Key": "k", "Value": "v w"}],
        },
        "GetPolicy": {"PolicyArn": POLICY},
        "ListPolicies": {"Scope": "Local", "OnlyAttached": False, "PathPrefix": "/team/", "MaxItems": 5},
        "DeletePolicy": {"PolicyArn": POLICY},
        "CreatePolicyVersion": {"PolicyArn": POLICY, "PolicyDocument": DOCUMENT, "SetAsDefault": True},
        "GetPolicyVersion": {"PolicyArn": POLICY, "VersionId": "v2"},
        "ListPolicyVersions": {"PolicyArn": POLICY, "Marker": "m"},
        "SetDefaultPolicyVersion": {"PolicyArn": POLICY, "VersionId": "v1"},
        "DeletePolicyVersion": {"PolicyArn": POLICY, "VersionId": "v3"},
        "ListEntitiesForPolicy": {"PolicyArn": POLICY, "EntityFilter": "Role", "PathPrefix": "/"},
        "SimulateCustomPolicy": {
            "PolicyInputList": [DOCUMENT],
            "ActionNames": ["eks:ListClusters"],
            "ContextEntries": [
                {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": ["a", "b c"], "ContextKeyType": "stringList"}
            ],
        },
        "SimulatePrincipalPolicy": {
            "PolicySourceArn": "arn:aws:iam::111122223333:user/ada",
            "ActionNames": ["eks:DescribeCluster", "eks:ListClusters"],
            "ResourceArns": [ARN],
            "MaxItems": 1,
        },
        "TagPolicy": {"PolicyArn": POLICY, "Tags": [{"Key": "k", "Value": "ü"}]},
        "UntagPolicy": {"PolicyArn": POLICY, "TagKeys": ["k", "a b"]},
        "ListPolicyTags": {"PolicyArn": POLICY},
        "CreateOpenIDConnectProvider": {
            "Url": "https://oidc.eks.us-east-1.amazonaws.com/id/0123",
            "ClientIDList": ["sts.amazonaws.com", "a b"],
            "ThumbprintList": [THUMBPRINT],
            "Tags": [{"Key": "k", "Value": "v"}],
        },
        "GetOpenIDConnectProvider": {"OpenIDConnectProviderArn": PROVIDER},
        "ListOpenIDConnectProviders": {},
        "DeleteOpenIDConnectProvider": {"OpenIDConnectProviderArn": PROVIDER},
        "UpdateOpenIDConnectProviderThumbprint": {
            "OpenIDConnectProviderArn": PROVIDER,
            "ThumbprintList": [THUMBPRINT, THUMBPRINT],
        },
        "AddClientIDToOpenIDConnectProvider": {"OpenIDConnectProviderArn": PROVIDER, "ClientID": "mine"},
        "RemoveClientIDFromOpenIDConnectProvider": {"OpenIDConnectProviderArn": PROVIDER, "ClientID": "mine"},
        "TagOpenIDConnectProvider": {"OpenIDConnectProviderArn": PROVIDER, "Tags": [{"Key": "k", "Value": ""}]},
        "UntagOpenIDConnectProvider": {"OpenIDConnectProviderArn": PROVIDER, "TagKeys": ["k"]},
        "ListOpenIDConnectProviderTags": {"OpenIDConnectProviderArn": PROVIDER, "MaxItems": 5},
        "CreateServiceLinkedRole": {
            "AWSServiceName": "autoscaling.amazonaws.com",
            "Description": "of node groups",
            "CustomSuffix": "mine",
        },
        "DeleteServiceLinkedRole": {"RoleName": "AWSServiceRoleForAmazonEKS"},
        "GetServiceLinkedRoleDeletionStatus": {"DeletionTaskId": "task/aws-service-role/eks.amazonaws.com/R/0-1"},
        "GetUser": {},
        "ListUsers": {"MaxItems": 3},
        "DeleteUser": {"UserName": "ada"},
        "ListAccessKeys": {"UserName": "ada"},
        "UpdateAccessKey": {"UserName": "ada", "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "Status": "Inactive"},
        "UpdateUser": {"UserName": "ada", "NewPath": "/team/", "NewUserName": "eve"},
        "TagUser": {"UserName": "ada", "Tags": [{"Key": "k", "Value": "v"}]},
        "UntagUser": {"UserName": "ada", "TagKeys": ["k"]},
        "ListUserTags": {"UserName": "ada", "MaxItems": 1},
        "AttachUserPolicy": {"UserName": "ada", "PolicyArn": POLICY},
        "DetachUserPolicy": {"UserName": "ada", "PolicyArn": POLICY},
        "ListAttachedUserPolicies": {"UserName": "ada", "PathPrefix": "/team/"},
        "PutUserPolicy": {"UserName": "ada", "PolicyName": "inline", "PolicyDocument": DOCUMENT},
        "GetUserPolicy": {"UserName": "ada", "PolicyName": "inline"},
        "ListUserPolicies": {"UserName": "ada"},
        "DeleteUserPolicy": {"UserName": "ada", "PolicyName": "inline"},
        "CreateGroup": {"GroupName": "readers", "Path": "/team/"},
        "GetGroup": {"GroupName": "readers", "MaxItems": 10},
        "ListGroups": {"PathPrefix": "/team/"},
        "DeleteGroup": {"GroupName": "readers"},
        "AddUserToGroup": {"GroupName": "readers", "UserName": "ada"},
        "RemoveUserFromGroup": {"GroupName": "readers", "UserName": "ada"},
        "ListGroupsForUser": {"UserName": "ada"},
        "AttachGroupPolicy": {"GroupName": "readers", "PolicyArn": POLICY},
        "DetachGroupPolicy": {"GroupName": "readers", "PolicyArn": POLICY},
        "ListAttachedGroupPolicies": {"GroupName": "readers"},
        "PutGroupPolicy": {"GroupName": "readers", "PolicyName": "inline", "PolicyDocument": DOCUMENT},
        "GetGroupPolicy": {"GroupName": "readers", "PolicyName": "inline"},
        "ListGroupPolicies": {"GroupName": "readers"},
        "DeleteGroupPolicy": {"GroupName": "readers", "PolicyName": "inline"},
        "CreateAccountAlias": {"AccountAlias": "example"},
        "ListAccountAliases": {},
        "DeleteAccountAlias": {"AccountAlias": "example"},
    },
    "autoscaling": {
        "CompleteLifecycleAction": {
            "LifecycleHookName": "h",
            "AutoScalingGroupName": "g",
            "LifecycleActionResult": "CONTINUE",
            "InstanceId": "i-1",
        },
        "CreateAutoScalingGroup": {
            "AutoScalingGroupName": "g",
            "LaunchTemplate": {"LaunchTemplateName": "template", "Version": "$Latest"},
            "MinSize": 0,
            "MaxSize": 3,
            "DesiredCapacity": 2,
            "VPCZoneIdentifier": "subnet-1,subnet-2",
            "TerminationPolicies": ["OldestInstance", "Default"],
            "LifecycleHookSpecificationList": [
                {"LifecycleHookName": "h", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
            ],
            "Tags": [{"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": "k", "Value": "v w", "PropagateAtLaunch": True}],
        },
        "CreateOrUpdateTags": {"Tags": [{"ResourceId": "g", "Key": "k", "Value": "", "PropagateAtLaunch": False}]},
        "DeleteAutoScalingGroup": {"AutoScalingGroupName": "g", "ForceDelete": True},
        "DeleteLifecycleHook": {"LifecycleHookName": "h", "AutoScalingGroupName": "g"},
        "DeleteTags": {"Tags": [{"ResourceId": "g", "ResourceType": "auto-scaling-group", "Key": "k"}]},
        "DescribeAutoScalingGroups": {
            "AutoScalingGroupNames": ["a", "b"],
            "Filters": [{"Name": "tag:k", "Values": ["v", "w"]}],
            "MaxRecords": 5,
        },
        "DescribeAutoScalingInstances": {"InstanceIds": ["i-1", "i-2"]},
        "DescribeLaunchConfigurations": {"LaunchConfigurationNames": ["c"]},
        "DescribeLifecycleHooks": {"AutoScalingGroupName": "g", "LifecycleHookNames": ["h"]},
        "DescribeScalingActivities": {"AutoScalingGroupName": "g", "NextToken": "a/b+c=="},
        "DescribeTags": {"Filters": [{"Name": "auto-scaling-group", "Values": ["g"]}]},
        "PutLifecycleHook": {
            "LifecycleHookName": "h",
            "AutoScalingGroupName": "g",
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
            "HeartbeatTimeout": 60,
            "DefaultResult": "CONTINUE",
        },
        "RecordLifecycleActionHeartbeat": {"LifecycleHookName": "h", "AutoScalingGroupName": "g", "InstanceId": "i-1"},
        "ResumeProcesses": {"AutoScalingGroupName": "g"},
        "SetDesiredCapacity": {"AutoScalingGroupName": "g", "DesiredCapacity": 4, "HonorCooldown": False},
        "SetInstanceHealth": {"InstanceId": "i-1", "HealthStatus": "Unhealthy", "ShouldRespectGracePeriod": False},
        "SetInstanceProtection": {
            "InstanceIds": ["i-1"],
            "AutoScalingGroupName": "g",
            "ProtectedFromScaleIn": True,
        },
        "SuspendProcesses": {"AutoScalingGroupName": "g", "ScalingProcesses": ["Launch", "AZRebalance"]},
        "TerminateInstanceInAutoScalingGroup": {"InstanceId": "i-1", "ShouldDecrementDesiredCapacity": True},
        "UpdateAutoScalingGroup": {"AutoScalingGroupName": "g", "MinSize": 1, "MaxSize": 5},
    },
    "sts": {
        "GetCallerIdentity": {},
        "AssumeRole": {
            "RoleArn": "arn:aws:iam::111122223333:role/eks",
            "RoleSessionName": "ada@example.com",
            "DurationSeconds": 900,
            "ExternalId": "a/b:c",
            "Tags": [{"Key": "k", "Value": "v"}],
        },
        "GetSessionToken": {"DurationSeconds": 900},
    },
    "ecr": {
        "BatchCheckLayerAvailability": {"repositoryName": "team/web", "layerDigests": [DIGEST]},
        "BatchDeleteImage": {"repositoryName": "team/web", "imageIds": [{"imageTag": "v1"}, {"imageDigest": DIGEST}]},
        "BatchGetImage": {
            "registryId": "111122223333",
            "repositoryName": "team/web",
            "imageIds": [{"imageTag": "v1"}],
            "acceptedMediaTypes": ["application/vnd.oci.image.manifest.v1+json"],
        },
        "CreateRepository": {
            "repositoryName": "team/web",
            "tags": [{"Key": "team", "Value": "a b+c"}],
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": False},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        },
        "DeleteRepository": {"repositoryName": "team/web", "force": True},
        "DescribeImages": {"repositoryName": "team/web", "maxResults": 5, "filter": {"tagStatus": "TAGGED"}},
        "DescribeRepositories": {"repositoryNames": ["team/web", "base"]},
        "GetAuthorizationToken": {"registryIds": ["111122223333"]},
        "ListImages": {"repositoryName": "team/web", "nextToken": "a/b+c==", "filter": {"tagStatus": "ANY"}},
        "ListTagsForResource": {"resourceArn": REPOSITORY},
        "PutImage": {
            "repositoryName": "team/web",
            "imageManifest": '{"schemaVersion": 2, "é": "\\n"}',
            "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
            "imageTag": "v1",
            "imageDigest": DIGEST,
        },
        "PutImageTagMutability": {"repositoryName": "team/web", "imageTagMutability": "MUTABLE"},
        "TagResource": {"resourceArn": REPOSITORY, "tags": [{"Key": "empty", "Value": ""}]},
        "UntagResource": {"resourceArn": REPOSITORY, "tagKeys": ["empty"]},
    },
    "kms": {
        "CancelKeyDeletion": {"KeyId": KEY},
        "CreateAlias": {"AliasName": "alias/eks", "TargetKeyId": KEY},
        "CreateKey": {
            "Policy": DOCUMENT,
            "Description": "of secrets",
            "KeyUsage": "ENCRYPT_DECRYPT",
            "KeySpec": "SYMMETRIC_DEFAULT",
            "Origin": "AWS_KMS",
            "BypassPolicyLockoutSafetyCheck": False,
            "Tags": [{"TagKey": "team", "TagValue": "a b+c"}],
            "MultiRegion": False,
        },
        "DeleteAlias": {"AliasName": "alias/eks"},
        "DescribeKey": {"KeyId": "alias/eks", "GrantTokens": []},
        "DisableKey": {"KeyId": KEY},
        "DisableKeyRotation": {"KeyId": KEY},
        "EnableKeyRotation": {"KeyId": KEY, "RotationPeriodInDays": 90},
        "EnableKey": {"KeyId": KEY},
        "GetKeyPolicy": {"KeyId": KEY, "PolicyName": "default"},
        "GetKeyRotationStatus": {"KeyId": KEY},
        "ListAliases": {"KeyId": KEY, "Limit": 10, "Marker": "m"},
        "ListKeyPolicies": {"KeyId": KEY},
        "ListKeys": {"Limit": 1000},
        "ListResourceTags": {"KeyId": KEY, "Limit": 50},
        "PutKeyPolicy": {"KeyId": KEY, "PolicyName": "default", "Policy": DOCUMENT},
        "ScheduleKeyDeletion": {"KeyId": KEY, "PendingWindowInDays": 7},
        "TagResource": {"KeyId": KEY, "Tags": [{"TagKey": "ü", "TagValue": ""}]},
        "UntagResource": {"KeyId": KEY, "TagKeys": ["ü"]},
        "UpdateAlias": {"AliasName": "alias/eks", "TargetKeyId": KEY},
        "UpdateKeyDescription": {"KeyId": KEY, "Description": ""},
    },
    "logs": {
        "CreateLogGroup": {
            "logGroupName": "/aws/eks/prod/cluster",
            "kmsKeyId": "arn:aws:kms:us-east-1:111122223333:key/" + KEY,
            "tags": {"team": "a b+c"},
            "logGroupClass": "STANDARD",
            "deletionProtectionEnabled": False,
        },
        "DeleteLogGroup": {"logGroupName": "/aws/eks/prod/cluster"},
        "DeleteRetentionPolicy": {"logGroupName": "/aws/eks/prod/cluster"},
        "DescribeLogGroups": {"logGroupNamePrefix": "/aws/eks/", "limit": 50, "nextToken": "a/b+c=="},
        "ListTagsForResource": {"resourceArn": LOG_GROUP},
        "ListTagsLogGroup": {"logGroupName": "/aws/eks/prod/cluster"},
        "PutLogGroupDeletionProtection": {"logGroupIdentifier": LOG_GROUP, "deletionProtectionEnabled": True},
        "PutRetentionPolicy": {"logGroupName": "/aws/eks/prod/cluster", "retentionInDays": 90},
        "TagResource": {"resourceArn": LOG_GROUP, "tags": {"team": "a b+c"}},
        "UntagResource": {"resourceArn": LOG_GROUP, "tagKeys": ["team", "a b"]},
    },
    "ssm": {
        "GetParameter": {"Name": "/aws/service/ü", "WithDecryption": True},
        "GetParameters": {"Names": ["/a/b", "/a/c:1"]},
        "GetParametersByPath": {"Path": "/a", "Recursive": True, "MaxResults": 10, "NextToken": "a/b+c=="},
    },
    "ec2": {
        "AllocateAddress": {"Domain": "vpc"},
        "AssignPrivateIpAddresses": {"NetworkInterfaceId": "eni-1", "PrivateIpAddresses": ["10.0.0.5", "10.0.0.6"]},
        "AssociateAddress": {"AllocationId": "eipalloc-1", "NetworkInterfaceId": "eni-1", "AllowReassociation": False},
        "AssociateRouteTable": {"RouteTableId": "rtb-1", "SubnetId": "subnet-1"},
        "AssociateVpcCidrBlock": {"VpcId": "vpc-1", "CidrBlock": "100.64.0.0/16"},
        "AttachInternetGateway": {"InternetGatewayId": "igw-1", "VpcId": "vpc-1"},
        "AttachNetworkInterface": {"NetworkInterfaceId": "eni-1", "InstanceId": "i-1", "DeviceIndex": 1},
        "AuthorizeSecurityGroupEgress": {
            "GroupId": "sg-1",
            "IpPermissions": [{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "::/0", "Description": "all"}]}],
        },
        "AuthorizeSecurityGroupIngress": {
            "GroupId": "sg-1",
            "IpPermissions": [
                {
                    "IpProtocol": "tcp",
                    "FromPort": 22,
                    "ToPort": 80,
                    "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "a (b)"}, {"CidrIp": "192.168.0.0/16"}],
                    "UserIdGroupPairs": [{"GroupId": "sg-2", "UserId": "111122223333"}],
                }
            ],
            "TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "b"}]}],
            "DryRun": False,
        },
        "CreateInternetGateway": {"DryRun": True},
        "CreateKeyPair": {
            "KeyName": "a name",
            "KeyType": "ed25519",
            "KeyFormat": "pem",
            "TagSpecifications": [{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}],
        },
        "CreateLaunchTemplate": {
            "LaunchTemplateName": "nodes",
            "ClientToken": "a-token",
            "LaunchTemplateData": {
                "ImageId": "ami-1",
                "InstanceType": "m5.large",
                "UserData": "aGVsbG8=",
                "IamInstanceProfile": {"Name": "node"},
                "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
                "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "VolumeType": "gp3"}}],
                "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-1", "sg-2"]}],
                "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}],
            },
        },
        "CreateLaunchTemplateVersion": {
            "LaunchTemplateId": "lt-1",
            "ClientToken": "a-token",
            "SourceVersion": "1",
            "LaunchTemplateData": {"SecurityGroupIds": ["sg-1"]},
        },
        "CreateNatGateway": {
            "SubnetId": "subnet-1",
            "AllocationId": "eipalloc-1",
            "ClientToken": "a-token",
            "ConnectivityType": "public",
            "PrivateIpAddress": "10.0.0.9",
            "TagSpecifications": [{"ResourceType": "natgateway", "Tags": [{"Key": "a", "Value": "b"}]}],
        },
        "CreateManagedPrefixList": {
            "PrefixListName": "offices",
            "AddressFamily": "IPv4",
            "MaxEntries": 5,
            "Entries": [{"Cidr": "192.0.2.0/24", "Description": "the first"}],
            "ClientToken": "a-token",
        },
        "DeleteManagedPrefixList": {"PrefixListId": "pl-1"},
        "DescribeManagedPrefixLists": {"Filters": [{"Name": "prefix-list-name", "Values": ["offices"]}]},
        "DescribePrefixLists": {"PrefixListIds": ["pl-1"]},
        "GetManagedPrefixListAssociations": {"PrefixListId": "pl-1", "MaxResults": 5},
        "GetManagedPrefixListEntries": {"PrefixListId": "pl-1", "TargetVersion": 2},
        "ModifyManagedPrefixList": {
            "PrefixListId": "pl-1",
            "CurrentVersion": 1,
            "AddEntries": [{"Cidr": "198.51.100.0/24"}],
            "RemoveEntries": [{"Cidr": "192.0.2.0/24"}],
        },
        "RestoreManagedPrefixListVersion": {"PrefixListId": "pl-1", "PreviousVersion": 1, "CurrentVersion": 2},
        "CreateNetworkAcl": {
            "VpcId": "vpc-1",
            "ClientToken": "a-token",
            "TagSpecifications": [{"ResourceType": "network-acl", "Tags": [{"Key": "a", "Value": "b"}]}],
        },
        "CreateNetworkAclEntry": {
            "NetworkAclId": "acl-1",
            "RuleNumber": 110,
            "Protocol": "6",
            "RuleAction": "allow",
            "Egress": False,
            "CidrBlock": "10.0.0.0/8",
            "PortRange": {"From": 22, "To": 22},
        },
        "CreateNetworkInterface": {
            "SubnetId": "subnet-1",
            "ClientToken": "a-token",
            "Groups": ["sg-1"],
            "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": "10.0.0.5"}],
            "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.0.16/28"}],
            "TagSpecifications": [{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}],
        },
        "CreateRoute": {"RouteTableId": "rtb-1", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"},
        "CreateRouteTable": {"VpcId": "vpc-1", "ClientToken": "a-token"},
        "CreateSecurityGroup": {"GroupName": "g", "Description": "a group", "VpcId": "vpc-1", "DryRun": True},
        "CreateSubnet": {"VpcId": "vpc-1", "CidrBlock": "10.0.1.0/24", "AvailabilityZone": "us-east-1a"},
        "CreateTags": {"Resources": ["i-1", "vol-1"], "Tags": [{"Key": "a b", "Value": "c&d"}]},
        "CreateVpc": {"CidrBlock": "10.0.0.0/16", "InstanceTenancy": "default", "TagSpecifications": EC2_TAGS},
        "DeleteInternetGateway": {"InternetGatewayId": "igw-1"},
        "DeleteKeyPair": {"KeyPairId": "key-1"},
        "DeleteLaunchTemplate": {"LaunchTemplateName": "nodes"},
        "DeleteNatGateway": {"NatGatewayId": "nat-1"},
        "DeleteNetworkAcl": {"NetworkAclId": "acl-1"},
        "DeleteNetworkAclEntry": {"NetworkAclId": "acl-1", "RuleNumber": 110, "Egress": True},
        "DeleteNetworkInterface": {"NetworkInterfaceId": "eni-1"},
        "DeleteRoute": {"RouteTableId": "rtb-1", "DestinationCidrBlock": "0.0.0.0/0"},
        "DeleteRouteTable": {"RouteTableId": "rtb-1"},
        "DeleteSecurityGroup": {"GroupId": "sg-1"},
        "DeleteSubnet": {"SubnetId": "subnet-1"},
        "DeleteTags": {"Resources": ["i-1"], "Tags": [{"Key": "a"}]},
        "DeleteVpc": {"VpcId": "vpc-1"},
        "DescribeAccountAttributes": {"AttributeNames": ["default-vpc", "supported-platforms"]},
        "DescribeAddresses": {"AllocationIds": ["eipalloc-1"], "PublicIps": ["192.0.2.1"]},
        "DescribeAvailabilityZones": {"ZoneNames": ["us-east-1a"], "AllAvailabilityZones": False},
        "DescribeDhcpOptions": {"DhcpOptionsIds": ["dopt-1"]},
        "DescribeImages": {"Owners": ["amazon"], "Filters": [{"Name": "name", "Values": ["amazon-eks-node-*"]}]},
        "DescribeInstanceAttribute": {"InstanceId": "i-1", "Attribute": "userData"},
        "DescribeInstanceStatus": {"InstanceIds": ["i-1"], "IncludeAllInstances": True},
        "DescribeInstanceTypeOfferings": {"LocationType": "availability-zone", "MaxResults": 10},
        "DescribeInstanceTypes": {"InstanceTypes": ["t3.medium", "m5.large"]},
        "DescribeInstances": {"Filters": [{"Name": "instance-state-name", "Values": ["running"]}], "MaxResults": 10},
        "DescribeInternetGateways": {"Filters": [{"Name": "attachment.vpc-id", "Values": ["vpc-1"]}]},
        "DescribeKeyPairs": {"KeyNames": ["a name", "b"], "IncludePublicKey": True},
        "DescribeLaunchTemplateVersions": {"LaunchTemplateId": "lt-1", "Versions": ["$Latest", "1"]},
        "DescribeLaunchTemplates": {"LaunchTemplateNames": ["nodes"]},
        "DescribeNatGateways": {
            "NatGatewayIds": ["nat-1"],
            "Filter": [{"Name": "state", "Values": ["available", "pending"]}],
            "MaxResults": 5,
        },
        "DescribeNetworkAcls": {"Filters": [{"Name": "default", "Values": ["true"]}]},
        "DescribeNetworkInterfaces": {"Filters": [{"Name": "attachment.instance-id", "Values": ["i-1"]}]},
        "DescribeRegions": {"RegionNames": ["us-east-1"], "AllRegions": True},
        "DescribeRouteTables": {"Filters": [{"Name": "association.main", "Values": ["true"]}], "MaxResults": 5},
        "DescribeSecurityGroupRules": {"Filters": [{"Name": "group-id", "Values": ["sg-1"]}], "MaxResults": 5},
        "DescribeSecurityGroups": {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1", "vpc-2"]}]},
        "DescribeSnapshots": {"OwnerIds": ["self"], "MaxResults": 5},
        "DescribeSubnets": {"SubnetIds": ["subnet-1", "subnet-2"]},
        "DescribeTags": {"Filters": [{"Name": "resource-id", "Values": ["i-1"]}]},
        "DescribeVolumes": {"VolumeIds": ["vol-1"]},
        "DescribeVpcAttribute": {"VpcId": "vpc-1", "Attribute": "enableDnsSupport"},
        "DescribeVpcEndpointServices": {"ServiceNames": ["com.amazonaws.us-east-1.ecr.api"]},
        "DescribeVpcEndpoints": {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}], "MaxResults": 5},
        "DescribeVpcs": {
            "VpcIds": [f"vpc-{n}" for n in range(12)],
            "Filters": [{"Name": "tag:a", "Values": ["b"]}, {"Name": "is-default", "Values": ["true"]}],
            "MaxResults": 5,
        },
        "DetachInternetGateway": {"InternetGatewayId": "igw-1", "VpcId": "vpc-1"},
        "DetachNetworkInterface": {"AttachmentId": "eni-attach-1", "Force": True},
        "DisassociateAddress": {"AssociationId": "eipassoc-1"},
        "DisassociateRouteTable": {"AssociationId": "rtbassoc-1"},
        "DisassociateVpcCidrBlock": {"AssociationId": "vpc-cidr-assoc-1"},
        "GetConsoleOutput": {"InstanceId": "i-1", "Latest": True},
        "ImportKeyPair": {"KeyName": "mine", "PublicKeyMaterial": b"ssh-ed25519 AAAA a@b"},
        "ModifyInstanceAttribute": {"InstanceId": "i-1", "DisableApiTermination": {"Value": True}},
        "ModifyLaunchTemplate": {"LaunchTemplateId": "lt-1", "ClientToken": "a-token", "DefaultVersion": "2"},
        "ModifyNetworkInterfaceAttribute": {
            "NetworkInterfaceId": "eni-1",
            "Attachment": {"AttachmentId": "eni-attach-1", "DeleteOnTermination": True},
        },
        "ModifySecurityGroupRules": {
            "GroupId": "sg-1",
            "SecurityGroupRules": [
                {
                    "SecurityGroupRuleId": "sgr-1",
                    "SecurityGroupRule": {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "CidrIpv4": "10.0.0.0/8"},
                }
            ],
        },
        "ModifySubnetAttribute": {"SubnetId": "subnet-1", "MapPublicIpOnLaunch": {"Value": True}},
        "ModifyVpcAttribute": {"VpcId": "vpc-1", "EnableDnsHostnames": {"Value": True}},
        "RebootInstances": {"InstanceIds": ["i-1"]},
        "ReleaseAddress": {"AllocationId": "eipalloc-1"},
        "ReplaceNetworkAclAssociation": {"AssociationId": "aclassoc-1", "NetworkAclId": "acl-1"},
        "ReplaceNetworkAclEntry": {
            "NetworkAclId": "acl-1",
            "RuleNumber": 32766,
            "Protocol": "58",
            "RuleAction": "deny",
            "Egress": True,
            "Ipv6CidrBlock": "::/0",
            "IcmpTypeCode": {"Code": -1, "Type": -1},
        },
        "ReplaceRoute": {"RouteTableId": "rtb-1", "DestinationCidrBlock": "0.0.0.0/0", "NetworkInterfaceId": "eni-1"},
        "ReplaceRouteTableAssociation": {"AssociationId": "rtbassoc-1", "RouteTableId": "rtb-2"},
        "RevokeSecurityGroupEgress": {"GroupId": "sg-1", "SecurityGroupRuleIds": ["sgr-1", "sgr-2"]},
        "RevokeSecurityGroupIngress": {
            "GroupName": "default",
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "CidrIp": "10.0.0.0/8",
        },
        "RunInstances": {
            "ImageId": "ami-1",
            "InstanceType": "t3.medium",
            "MinCount": 1,
            "MaxCount": 2,
            "ClientToken": "a-token",
            "SubnetId": "subnet-1",
            "SecurityGroupIds": ["sg-1"],
            "UserData": "hello",
            "IamInstanceProfile": {"Arn": "arn:aws:iam::111122223333:instance-profile/node"},
            "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "$Default"},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "a b"}]}],
        },
        "StartInstances": {"InstanceIds": ["i-1"]},
        "StopInstances": {"InstanceIds": ["i-1", "i-2"], "Force": True},
        "TerminateInstances": {"InstanceIds": ["i-1"]},
        "UnassignPrivateIpAddresses": {"NetworkInterfaceId": "eni-1", "Ipv4Prefixes": ["10.0.0.16/28"]},
        "UpdateSecurityGroupRuleDescriptionsEgress": {
            "GroupId": "sg-1",
            "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": "sgr-1", "Description": "all out"}],
        },
        "UpdateSecurityGroupRuleDescriptionsIngress": {
            "GroupId": "sg-1",
            "IpPermissions": [
                {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
            ],
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
        if "X-Amz-Target" in request.headers:
            caught["target"] = request.headers["X-Amz-Target"]
        for key in ("content_type", "body", "target"):
            if isinstance(caught.get(key), bytes):
                caught[key] = caught[key].decode()
        raise KeyboardInterrupt

    client.meta.events.register("before-send", catch)
    try:
        client._make_api_call(operation, params)
    except KeyboardInterrupt:
        return caught
    raise RuntimeError(f"{operation} was not caught")


def blob(value):
    return base64.b64encode(value).decode()


def main():
    session = botocore.session.get_session()
    requests = [
        record(session, service, operation, params)
        for service, calls in CALLS.items()
        for operation, params in calls.items()
    ]
    recorded = {"botocore": botocore.__version__, "requests": requests}
    json.dump(recorded, sys.stdout, indent=1, ensure_ascii=False, default=blob)
    print()


if __name__ == "__main__":
    main()
