"""What the end-to-end tests' policy finds, told by a program that shares nothing with ecr-warden: (name, rule) as JSON."""

import json

import boto3

ecr = boto3.client("ecr")
found = []
for page in ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 700}):
    for repository in page["repositories"]:
        name = repository["repositoryName"]
        if repository["imageTagMutability"] != "IMMUTABLE" and not name.startswith("legacy/"):
            found.append((name, "mutable-tags"))
        if "/" not in name:
            found.append((name, "nonconforming-name"))
        if name.startswith("payments/") and repository["encryptionConfiguration"]["encryptionType"] == "AES256":
            found.append((name, "weak-encryption"))
print(json.dumps(sorted(found)))
