"""Judges the PCS client and its double by botocore and boto3.

    judge.py recorded calls.json            every recorded call by botocore's model: members, types, required, lengths, patterns
                                            and enums of request and answer; the answer parsed; the signature made again
    judge.py requests inputs.json REGION    what botocore sends for these inputs, with a fixed clock: body, headers, signature
    judge.py schemas schemas.json           our JSON Schemas of the inputs against the model's shapes
    judge.py endpoints regions.json         addresses by botocore's endpoint rule set
    judge.py drive URL REGION               real boto3 makes every operation and prints what it understood
"""

import datetime
import gzip
import json
import os
import re
import sys
import time
from unittest import mock

import boto3
import botocore
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import ClientError, EndpointProviderError
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

KEYS = dict(aws_access_key_id="AKIDJUDGE", aws_secret_access_key="judge+secret/key")
FIXED = datetime.datetime(2026, 11, 24, 12, 0, 0)
session = botocore.session.get_session()
model = session.get_service_model("pcs")


def constraints(value, shape, path, problems):
    """What ParamValidator leaves out: patterns, enums, greatest lengths and numbers. Unknown members too."""
    meta = shape.metadata
    if shape.type_name == "structure":
        for name, inner in value.items():
            if name not in shape.members:
                problems.append(f"{path}.{name}: unknown member")
            else:
                constraints(inner, shape.members[name], f"{path}.{name}", problems)
        for name in shape.required_members:
            if name not in value:
                problems.append(f"{path}: {name} is required")
        return
    if shape.type_name == "list":
        for i, inner in enumerate(value):
            constraints(inner, shape.member, f"{path}[{i}]", problems)
    elif shape.type_name == "map":
        for key, inner in value.items():
            constraints(key, shape.key, f"{path} key {key}", problems)
            constraints(inner, shape.value, f"{path}.{key}", problems)
    elif shape.type_name == "timestamp":
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value)):
            problems.append(f"{path}: {value} is no ISO 8601 time")
        return
    size = len(value) if isinstance(value, (str, list, dict)) else value
    if isinstance(size, (int, float)) and not isinstance(size, bool):
        if "max" in meta and size > meta["max"]:
            problems.append(f"{path}: {size} is more than {meta['max']}")
        if "min" in meta and size < meta["min"]:
            problems.append(f"{path}: {size} is less than {meta['min']}")
    if isinstance(value, str):
        if "enum" in meta and value not in meta["enum"]:
            problems.append(f"{path}: {value} is none of the enum")
        if "pattern" in meta and not re.fullmatch(meta["pattern"], value, re.S):
            problems.append(f"{path}: {value!r} does not match {meta['pattern']}")


def sign(url, headers, body, region, credentials, at):
    """botocore's signature over exactly these bytes and headers."""
    request = AWSRequest(method="POST", url=url, headers=headers, data=body)
    request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
    with mock.patch("botocore.auth.get_current_datetime", lambda *args, **kwargs: at):
        SigV4Auth(credentials, "pcs", region).add_auth(request)
    return request.headers["Authorization"]


def recorded(path):
    problems, operations, errors, signatures = [], {}, {}, 0
    given = json.load(open(path))
    for call in given["calls"]:
        where = call["operation"]
        operation = model.operation_model(where)
        operations[where] = operations.get(where, 0) + 1
        body = json.loads(call["text"])
        report = ParamValidator().validate(body, operation.input_shape)
        if report.has_errors():
            problems.append(f"{where}: {report.generate_report()}")
        constraints(body, operation.input_shape, where, problems)
        if operation.http["method"] != "POST" or not call["url"].endswith(operation.http["requestUri"]):
            problems.append(f"{where}: {call['url']}")

        signed = re.search(r"SignedHeaders=([^,]+)", call["headers"]["authorization"])[1].split(";")
        at = datetime.datetime.strptime(call["headers"]["x-amz-date"], "%Y%m%dT%H%M%SZ")
        token = call["headers"].get("x-amz-security-token")
        again = sign(
            call["url"],
            {name: call["headers"][name] for name in signed if name != "x-amz-security-token"},
            call["text"].encode(),
            given["region"],
            Credentials(given["accessKeyId"], given["secretAccessKey"], token),
            at,
        )
        if again != call["headers"]["authorization"]:
            problems.append(f"{where}: signed {call['headers']['authorization']}, botocore {again}")
        signatures += 1

        raw = {"status_code": call["status"], "headers": {}, "body": json.dumps(call["answer"]).encode()}
        parsed = create_parser("json").parse(raw, operation.output_shape)
        if call["status"] != 200:
            code = parsed["Error"]["Code"]
            errors[code] = errors.get(code, 0) + 1
            # A documented answer of the lists (API_ListClusters, nextToken) that the model has no shape for.
            if code == "InvalidToken":
                continue
            shape = next((s for s in operation.error_shapes if s.name == code), None)
            if shape is None:
                problems.append(f"{where}: {code} is no error of the operation")
            else:
                members = {k: v for k, v in call["answer"].items() if k != "__type"}
                constraints(members, shape, f"{where} {code}", problems)
            continue
        constraints(call["answer"], operation.output_shape, f"{where} answer", problems)
        lost = set(call["answer"]) - set(parsed)
        if lost:
            problems.append(f"{where} answer: botocore does not understand {sorted(lost)}")
    print(json.dumps(dict(problems=problems[:20], operations=operations, errors=errors, signatures=signatures)))


def requests(path, region):
    client = boto3.client("pcs", region_name=region, **KEYS)
    seen = []

    def keep(request, **_):
        seen.append(
            {
                "url": request.url,
                "headers": {
                    k.lower(): v.decode() if isinstance(v, bytes) else v for k, v in dict(request.headers).items()
                },
                "body": request.body.decode(),
            }
        )
        return botocore.awsrequest.AWSResponse(request.url, 200, {}, mock.Mock(stream=lambda: iter([b"{}"])))

    client.meta.events.register("before-send.pcs", keep)
    with mock.patch("botocore.auth.get_current_datetime", lambda *args, **kwargs: FIXED):
        for each in json.load(open(path)):
            method = re.sub(r"(?<!^)(?=[A-Z])", "_", each["operation"]).lower()
            getattr(client, method)(**each["input"])
    print(json.dumps(seen))


def differences(schema, shape, path, found):
    """Members, required ones, types, lengths, patterns and enums; both ways."""
    meta = shape.metadata

    def same(what, ours, theirs):
        if ours != theirs:
            found.append(f"{path}: {what} {ours!r}, model {theirs!r}")

    if shape.type_name == "structure":
        same("members", sorted(schema["properties"]), sorted(shape.members))
        same("required", sorted(schema.get("required", [])), sorted(shape.required_members))
        for name in set(schema["properties"]) & set(shape.members):
            differences(schema["properties"][name], shape.members[name], f"{path}.{name}", found)
    elif shape.type_name == "list":
        same("type", schema["type"], "array")
        same("lengths", [schema.get("minItems", 0), schema.get("maxItems")], [meta.get("min", 0), meta.get("max")])
        differences(schema["items"], shape.member, f"{path}[]", found)
    elif shape.type_name == "map":
        differences(schema["propertyNames"], shape.key, f"{path} key", found)
        differences(schema["additionalProperties"], shape.value, f"{path}.*", found)
    elif shape.type_name == "integer":
        same("type", schema["type"], "integer")
        top = schema["maximum"] if schema["maximum"] < 2**53 - 1 else None
        same("range", [schema["minimum"], top], [meta.get("min"), meta.get("max")])
    elif shape.type_name == "string":
        same("type", schema["type"], "string")
        same("lengths", [schema.get("minLength", 0), schema.get("maxLength")], [meta.get("min", 0), meta.get("max")])
        same("enum", schema.get("enum", []), meta.get("enum", []))
        # JavaScript writes the source of a pattern with its slashes escaped.
        ours = schema["pattern"].replace("\\/", "/") if "pattern" in schema else None
        same("pattern", ours, f"^(?:{meta['pattern']})$" if "pattern" in meta else None)
    else:
        found.append(f"{path}: no rule for {shape.type_name}")


def schemas(path):
    found, given = [], json.load(open(path))
    for name, schema in given.items():
        differences(schema, model.operation_model(name).input_shape, name, found)
    print(json.dumps({"found": found, "without": sorted(set(model.operation_names) - set(given))}))


def endpoints(path):
    data = os.path.join(os.path.dirname(botocore.__file__), "data")
    rules = json.loads(gzip.open(os.path.join(data, "pcs/2023-02-10/endpoint-rule-set-1.json.gz")).read())
    provider = EndpointProvider(rules, json.load(open(os.path.join(data, "partitions.json"))))

    def resolve(case):
        given = {"Region": case["region"], "UseFIPS": case["fips"], "UseDualStack": case["dualStack"]}
        if case.get("endpoint"):
            given["Endpoint"] = case["endpoint"]
        try:
            return provider.resolve_endpoint(**given).url
        except EndpointProviderError:
            return None

    print(json.dumps([resolve(case) for case in json.load(open(path))]))


def drive(url, region):
    pcs = boto3.client("pcs", region_name=region, endpoint_url=url, **KEYS)

    def code(call, **arguments):
        try:
            call(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "none"

    def until(status, get, key, **arguments):
        for _ in range(200):
            try:
                resource = get(**arguments)[key]
            except pcs.exceptions.ResourceNotFoundException:
                return "gone"
            if resource["status"] == status:
                return resource
            time.sleep(0.05)
        raise TimeoutError(f"{key} is {resource['status']}, not {status}")

    wish = dict(
        clusterName="judged",
        scheduler={"type": "SLURM", "version": "25.11"},
        size="SMALL",
        networking={"subnetIds": ["subnet-0123456789abcdef0"], "securityGroupIds": ["sg-0123456789abcdef0"]},
        slurmConfiguration={"slurmRest": {"mode": "STANDARD"}, "accounting": {"mode": "STANDARD"}},
        clientToken="judged-by-boto3",
        tags={"who": "judge"},
    )
    made = pcs.create_cluster(**wish)["cluster"]
    again = pcs.create_cluster(**wish)["cluster"]
    second = code(pcs.create_cluster, **dict(wish, clusterName="another", clientToken="another-token"))
    early = code(pcs.create_queue, clusterIdentifier="judged", queueName="early")
    cluster = until("ACTIVE", pcs.get_cluster, "cluster", clusterIdentifier="judged")
    here = dict(clusterIdentifier=made["id"])
    group = pcs.create_compute_node_group(
        **here,
        computeNodeGroupName="nodes",
        subnetIds=["subnet-0123456789abcdef0"],
        customLaunchTemplate={"id": "lt-0123456789abcdef0", "version": "1"},
        iamInstanceProfileArn="arn:aws:iam::123456789012:instance-profile/AWSPCS-nodes",
        scalingConfiguration={"minInstanceCount": 0, "maxInstanceCount": 4},
        instanceConfigs=[{"instanceType": "c7i.large"}],
    )["computeNodeGroup"]
    group_is = dict(here, computeNodeGroupIdentifier="nodes")
    until("ACTIVE", pcs.get_compute_node_group, "computeNodeGroup", **group_is)
    too_many = code(
        pcs.update_compute_node_group, **group_is, scalingConfiguration={"minInstanceCount": 0, "maxInstanceCount": 33}
    )
    pcs.update_compute_node_group(**group_is, scalingConfiguration={"minInstanceCount": 2, "maxInstanceCount": 8})
    scaled = until("ACTIVE", pcs.get_compute_node_group, "computeNodeGroup", **group_is)
    pcs.create_queue(**here, queueName="main", computeNodeGroupConfigurations=[{"computeNodeGroupId": group["id"]}])
    queue_is = dict(here, queueIdentifier="main")
    queue = until("ACTIVE", pcs.get_queue, "queue", **queue_is)
    pcs.update_queue(**queue_is, slurmConfiguration={"slurmCustomSettings": [{"parameterName": "a", "parameterValue": "b"}]})
    until("ACTIVE", pcs.get_queue, "queue", **queue_is)
    pcs.update_cluster(**here, slurmConfiguration={"scaleDownIdleTimeInSeconds": 60})
    updated = until("ACTIVE", pcs.get_cluster, "cluster", **here)
    pcs.tag_resource(resourceArn=made["arn"], tags={"more": "yes"})
    pcs.untag_resource(resourceArn=made["arn"], tagKeys=["who"])
    tags = pcs.list_tags_for_resource(resourceArn=made["arn"])["tags"]
    lists = [
        [c["name"] for p in pcs.get_paginator("list_clusters").paginate(maxResults=1) for c in p["clusters"]],
        [g["name"] for g in pcs.list_compute_node_groups(**here)["computeNodeGroups"]],
        [q["name"] for q in pcs.list_queues(**here)["queues"]],
    ]
    in_use = [code(pcs.delete_cluster, **here), code(pcs.delete_compute_node_group, **group_is)]
    pcs.delete_queue(**queue_is)
    until("gone", pcs.get_queue, "queue", **queue_is)
    pcs.delete_compute_node_group(**group_is)
    until("gone", pcs.get_compute_node_group, "computeNodeGroup", **group_is)
    pcs.delete_cluster(**here)
    gone = until("gone", pcs.get_cluster, "cluster", **here)
    print(
        json.dumps(
            {
                "once": made["id"] == again["id"],
                "created": [made["status"], isinstance(made["createdAt"], datetime.datetime)],
                "endpoints": [[e["type"], e["port"]] for e in cluster["endpoints"]],
                "jwt": cluster["slurmConfiguration"]["jwtAuth"]["jwtKey"]["secretVersion"],
                "scaled": scaled["scalingConfiguration"],
                "queue": queue["computeNodeGroupConfigurations"] == [{"computeNodeGroupId": group["id"]}],
                "idle": updated["slurmConfiguration"]["scaleDownIdleTimeInSeconds"],
                "tags": tags,
                "lists": lists,
                "codes": [second, early, too_many, *in_use, code(pcs.get_cluster, **here)],
                "gone": gone,
            }
        )
    )


verbs = dict(recorded=recorded, requests=requests, schemas=schemas, endpoints=endpoints, drive=drive)
verbs[sys.argv[1]](*sys.argv[2:])
