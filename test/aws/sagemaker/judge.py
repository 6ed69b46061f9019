"""Judges the SageMaker double and our requests by Amazon's own clients.

    judge.py recorded calls.json   every recorded call by botocore's model: request members, types, required, lengths,
                                   patterns and enums; the answer parsed by botocore, and its members by the model
    judge.py drive URL REGION ...  real boto3 makes every operation and prints what it understood, as JSON
    judge.py moto calls.json       our CreateTrainingJob requests, given to moto
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
        if "pattern" in meta and not re.fullmatch(meta["pattern"].replace(r"\p{L}\p{Z}\p{N}", r"\w\s"), value, re.S):
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


{"recorded": recorded, "drive": drive, "moto": moto}[sys.argv[1]](*sys.argv[2:])
