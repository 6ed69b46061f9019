"""Judges the SageMaker double and our requests by Amazon's own clients.

    judge.py recorded calls.json   every recorded call by botocore's model: request members, types, required, lengths,
                                   patterns and enums; the answer parsed by botocore, and its members by the model
    judge.py drive URL REGION ...  real boto3 makes every operation and prints what it understood, as JSON
    judge.py moto calls.json       our CreateTrainingJob requests, given to moto
    judge.py registry URL REGION   real boto3 makes every operation of the registry and of lineage
    judge.py moto-registry calls.json   our requests about model packages, given to moto
"""

import json
import re
import sys
import time

import boto3
import botocore.session
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

SERVICES = {"SageMaker": "sagemaker", "Logs_20140328": "logs"}
session = botocore.session.get_session()
models = {k: session.get_service_model(v) for k, v in SERVICES.items()}


def pattern_of(text):
    """Java's Unicode classes, which re has not, and its repeated "$" of customer metadata."""
    for ours, java in ((r"\w", "LN"), (r"\s", "Z"), ("", "M"), (r"\W", "SP")):
        for letter in java:
            text = text.replace(r"\p{%s}" % letter, ours)
    return re.sub(r"\$\{1,(128|256)\}", "", text)


def constraints(value, shape, path, problems):
    """What ParamValidator leaves out: patterns, enums, greatest lengths and numbers. Unknown members of answers too."""
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
    size = len(value) if isinstance(value, (str, list, dict)) else value
    if isinstance(size, (int, float)) and not isinstance(size, bool):
        if "max" in meta and size > meta["max"]:
            problems.append(f"{path}: {size} is more than {meta['max']}")
        if "min" in meta and size < meta["min"]:
            problems.append(f"{path}: {size} is less than {meta['min']}")
    if isinstance(value, str):
        if "enum" in meta and value not in meta["enum"]:
            problems.append(f"{path}: {value} is none of the enum")
        if "pattern" in meta and not re.fullmatch(pattern_of(meta["pattern"]), value, re.S):
            problems.append(f"{path}: {value!r} does not match {meta['pattern']}")


def recorded(path):
    problems, operations, errors = [], {}, {}
    for call in json.load(open(path)):
        model = models[call["service"]]
        operation = model.operation_model(call["operation"])
        where = call["operation"]
        operations[where] = operations.get(where, 0) + 1
        report = ParamValidator().validate(call["body"], operation.input_shape)
        if report.has_errors():
            problems.append(f"{where}: {report.generate_report()}")
        constraints(call["body"], operation.input_shape, where, problems)
        raw = {"status_code": call["status"], "headers": {}, "body": json.dumps(call["answer"]).encode()}
        parsed = create_parser("json").parse(raw, operation.output_shape or operation.input_shape)
        if call["status"] != 200:
            code = parsed["Error"]["Code"]
            errors[code] = errors.get(code, 0) + 1
            if not parsed["Error"]["Message"]:
                problems.append(f"{where}: {code} without a message")
            continue
        if operation.output_shape:
            constraints(call["answer"], operation.output_shape, f"{where} answer", problems)
            lost = set(call["answer"]) - set(parsed)
            if lost:
                problems.append(f"{where} answer: botocore does not understand {sorted(lost)}")
    print(json.dumps({"problems": problems[:20], "operations": operations, "errors": errors}))


def clients(url, region):
    keys = dict(aws_access_key_id="AKIAJUDGE", aws_secret_access_key="x", region_name=region, endpoint_url=url)
    return boto3.client("sagemaker", **keys), boto3.client("logs", **keys)


def code_of(call):
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "none"


def drive(url, region, role, output):
    sagemaker, logs = clients(url, region)
    name = "judged-by-boto3"
    request = dict(
        TrainingJobName=name,
        RoleArn=role,
        AlgorithmSpecification={
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["sh", "-c", 'echo "hello from $TRAINING_JOB_NAME"'],
        },
        OutputDataConfig={"S3OutputPath": output},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=[{"Key": "who", "Value": "judge"}],
    )
    arn = sagemaker.create_training_job(**request)["TrainingJobArn"]
    again = code_of(lambda: sagemaker.create_training_job(**request))
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    job = sagemaker.describe_training_job(TrainingJobName=name)
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "yes"}])
    tags = {t["Key"]: t["Value"] for t in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    group = "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=name + "/")["logStreams"][0]["logStreamName"]
    page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
    end = logs.get_log_events(logGroupName=group, logStreamName=stream, nextToken=page["nextForwardToken"])
    hanging = dict(request, TrainingJobName="judged-and-stopped")
    hanging["AlgorithmSpecification"] = dict(
        request["AlgorithmSpecification"], ContainerEntrypoint=["sh", "-c", "while :; do sleep 0.1; done"]
    )
    sagemaker.create_training_job(**hanging)
    sagemaker.stop_training_job(TrainingJobName="judged-and-stopped")
    for _ in range(100):
        stopped = sagemaker.describe_training_job(TrainingJobName="judged-and-stopped")
        if stopped["TrainingJobStatus"] == "Stopped":
            break
        time.sleep(0.1)
    print(
        json.dumps(
            {
                "arn": arn,
                "again": again,
                "status": [job["TrainingJobStatus"], job["SecondaryStatus"]],
                "stages": [t["Status"] for t in job["SecondaryStatusTransitions"]],
                "times": job["TrainingEndTime"] >= job["TrainingStartTime"] >= job["CreationTime"],
                "billable": job["BillableTimeInSeconds"],
                "tags": tags,
                "lines": [e["message"] for e in page["events"]],
                "atEnd": end["nextForwardToken"] == page["nextForwardToken"] and end["events"] == [],
                "stopped": [stopped["TrainingJobStatus"], stopped["SecondaryStatus"]],
                "stopAgain": code_of(lambda: sagemaker.stop_training_job(TrainingJobName="judged-and-stopped")),
                "unknown": code_of(lambda: sagemaker.describe_training_job(TrainingJobName="nobody")),
                "badName": code_of(lambda: sagemaker.create_training_job(**dict(request, TrainingJobName="a_b"))),
                "badRole": code_of(
                    lambda: sagemaker.create_training_job(
                        **dict(request, TrainingJobName="c", RoleArn="arn:aws:iam::123456789012:role/nobody")
                    )
                ),
            }
        )
    )


def moto(path):
    """Our own CreateTrainingJob requests, as recorded, given to moto: it keeps what it understood."""
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        answers = []
        for call in json.load(open(path)):
            if call["operation"] != "CreateTrainingJob" or call["status"] != 200:
                continue
            body = call["body"]
            arn = client.create_training_job(**body)["TrainingJobArn"]
            job = client.describe_training_job(TrainingJobName=body["TrainingJobName"])
            kept = ["AlgorithmSpecification", "HyperParameters", "ResourceConfig", "StoppingCondition"]
            tags = client.list_tags(ResourceArn=arn)["Tags"]
            answers.append(
                {
                    "arn": arn == call["answer"]["TrainingJobArn"],
                    # moto adds members of its own to some structures.
                    "differs": [k for k in kept if any(job[k].get(n) != v for n, v in body[k].items())],
                    "role": job["RoleArn"] == body["RoleArn"],
                    "tags": tags == body["Tags"],
                }
            )
        print(json.dumps(answers))


def registry(url, region):
    sagemaker, _ = clients(url, region)
    group = sagemaker.create_model_package_group(ModelPackageGroupName="judged", Tags=[{"Key": "who", "Value": "judge"}])
    request = dict(
        ModelPackageGroupName="judged",
        ModelPackageDescription="by boto3",
        ClientToken="one",
        CustomerMetadataProperties={"goto3:model": "sha256:1"},
        InferenceSpecification={"Containers": [{"Image": "image"}]},
    )
    arn = sagemaker.create_model_package(**request)["ModelPackageArn"]
    early = code_of(lambda: sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved"))
    while sagemaker.describe_model_package(ModelPackageName=arn)["ModelPackageStatus"] == "Pending":
        time.sleep(0.02)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="fine")
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    second = sagemaker.create_model_package(ModelPackageGroupName="judged", ClientToken="two")["ModelPackageArn"]
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName="judged", PaginationConfig={"PageSize": 1}
    )
    listed = [p["ModelPackageVersion"] for page in pages for p in page["ModelPackageSummaryList"]]
    artifact = sagemaker.create_artifact(
        ArtifactName="data", Source={"SourceUri": "s3://a/b"}, ArtifactType="DataSet"
    )["ArtifactArn"]
    action = sagemaker.create_action(
        ActionName="train", Source={"SourceUri": "goto3:job"}, ActionType="ModelTraining", Status="Completed"
    )["ActionArn"]
    context = sagemaker.create_context(
        ContextName="mail", Source={"SourceUri": "goto3:endpoint"}, ContextType="Endpoint"
    )["ContextArn"]
    edge = dict(SourceArn=artifact, DestinationArn=action, AssociationType="ContributedTo")
    sagemaker.add_association(**edge)
    edges = sagemaker.list_associations(SourceArn=artifact)["AssociationSummaries"]
    unknown = artifact[:-32] + "0" * 32
    answers = {
        "arns": [group["ModelPackageGroupArn"], arn],
        "groupStatus": sagemaker.describe_model_package_group(ModelPackageGroupName="judged")["ModelPackageGroupStatus"],
        "tags": sagemaker.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"],
        "early": early,
        "package": [package[k] for k in ("ModelPackageStatus", "ModelApprovalStatus", "ApprovalDescription")],
        "metadata": package["CustomerMetadataProperties"],
        "changedBy": package["LastModifiedBy"]["IamIdentity"]["Arn"],
        "listed": listed,
        "again": sagemaker.create_model_package(**request)["ModelPackageArn"] == arn,
        "found": sagemaker.list_artifacts(SourceUri="s3://a/b")["ArtifactSummaries"][0]["ArtifactArn"] == artifact,
        "action": sagemaker.describe_action(ActionName="train")["ActionArn"] == action,
        "context": sagemaker.describe_context(ContextName="mail")["ContextArn"] == context,
        "edges": [[e["SourceArn"] == artifact, e["DestinationArn"] == action, e["AssociationType"]] for e in edges],
        "errors": {
            "token": code_of(lambda: sagemaker.create_model_package(**dict(request, ModelPackageDescription="other"))),
            "group": code_of(lambda: sagemaker.create_model_package_group(ModelPackageGroupName="judged")),
            "noGroup": code_of(lambda: sagemaker.describe_model_package_group(ModelPackageGroupName="nobody")),
            "noPackage": code_of(lambda: sagemaker.describe_model_package(ModelPackageName=arn[:-1] + "9")),
            "name": code_of(lambda: sagemaker.create_action(ActionName="train", Source={"SourceUri": "x"}, ActionType="x")),
            "noAction": code_of(lambda: sagemaker.describe_action(ActionName="nobody")),
            "noContext": code_of(lambda: sagemaker.describe_context(ContextName="nobody")),
            "edge": code_of(lambda: sagemaker.add_association(**edge)),
            "noEntity": code_of(lambda: sagemaker.add_association(SourceArn=unknown, DestinationArn=action)),
        },
    }
    sagemaker.delete_model_package(ModelPackageName=second)
    answers["errors"]["deleted"] = code_of(lambda: sagemaker.describe_model_package(ModelPackageName=second))
    print(json.dumps(answers))


def moto_registry(path):
    """What we asked about model packages, as recorded, asked of moto: it keeps what it understood."""
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        answers = []
        for call in json.load(open(path)):
            body = call["body"]
            if call["status"] != 200:
                continue
            if call["operation"] == "CreateModelPackageGroup":
                client.create_model_package_group(**body)
            if call["operation"] == "CreateModelPackage":
                arn = client.create_model_package(**body)["ModelPackageArn"]
                kept = client.describe_model_package(ModelPackageName=arn)
                same = [k for k in body if k not in ("ClientToken",)]
                listed = client.list_model_packages(ModelPackageGroupName=body["ModelPackageGroupName"])
                answers.append(
                    {
                        "arn": arn == call["answer"]["ModelPackageArn"],
                        "differs": [k for k in same if kept.get(k) != body[k]],
                        "listed": listed["ModelPackageSummaryList"][0]["ModelPackageDescription"]
                        == body["ModelPackageDescription"],
                    }
                )
            if call["operation"] == "UpdateModelPackage":
                client.update_model_package(**body)
                kept = client.describe_model_package(ModelPackageName=body["ModelPackageArn"])
                answers.append([kept["ModelApprovalStatus"], kept["ApprovalDescription"]])
        print(json.dumps(answers))


modes = {"recorded": recorded, "drive": drive, "moto": moto, "registry": registry, "moto-registry": moto_registry}
modes[sys.argv[1]](*sys.argv[2:])
