"""What a careful script would do: the reads that the policy needs, sixteen threads, findings as JSON lines.

    boto3_audit.py shipped|all-rules OUTPUT
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

THREADS = 16


def main():
    all_rules, output = sys.argv[1] == "all-rules", sys.argv[2]
    session = boto3.Session()
    config = Config(max_pool_connections=THREADS, retries={"mode": "standard"})
    session.client("sts", config=config).get_caller_identity()
    ecr = session.client("ecr", config=config)
    ecr.describe_pull_through_cache_rules(maxResults=1000)
    scanning = ecr.get_registry_scanning_configuration()["scanningConfiguration"] if all_rules else {}
    scanned = {rule["scanFrequency"] for rule in scanning.get("rules", [])}

    def text(read, name, key):
        try:
            return read(repositoryName=name)[key]
        except ClientError as error:
            if error.response["Error"]["Code"].endswith("PolicyNotFoundException"):
                return None
            raise

    def audit(repository):
        name, found = repository["repositoryName"], []
        kind = repository["encryptionConfiguration"]["encryptionType"]
        weak = kind == "AES256" and (all_rules or name.startswith(("sensitive/", "payments/")))
        tags = policy = lifecycle = None
        if all_rules or weak:
            tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
            policy = text(ecr.get_repository_policy, name, "policyText")
            lifecycle = text(ecr.get_lifecycle_policy, name, "lifecyclePolicyText")
        if repository["imageTagMutability"] not in ("IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION"):
            images = ecr.describe_images(repositoryName=name, maxResults=100, filter={"tagStatus": "TAGGED"})
            in_use = [tag for image in images["imageDetails"] for tag in image.get("imageTags", [])]
            found.append({"rule": "mutable-tags", "in-use": in_use})
        if weak:
            images = ecr.describe_images(repositoryName=name, maxResults=1, filter={"imageStatus": "ANY"})
            found.append({"rule": "weak-encryption", "empty": not images["imageDetails"]})
        if all_rules:
            if not repository["imageScanningConfiguration"]["scanOnPush"] and not scanned:
                found.append({"rule": "no-scan-on-push"})
            if lifecycle is None:
                found.append({"rule": "no-lifecycle-policy"})
            if any(s["Principal"] in ("*", {"AWS": "*"}) for s in json.loads(policy or '{"Statement":[]}')["Statement"]):
                found.append({"rule": "public-access"})
            if not any(tag["Key"] == "team" and tag["Value"] for tag in tags):
                found.append({"rule": "missing-tags"})
        return [{"repository": name, **finding} for finding in found]

    pages = ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 1000})
    with ThreadPoolExecutor(THREADS) as pool, open(output, "w", encoding="utf-8") as file:
        for page in pages:
            for found in pool.map(audit, page["repositories"]):
                for finding in found:
                    file.write(json.dumps(finding) + "\n")


main()
