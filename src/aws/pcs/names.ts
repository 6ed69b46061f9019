import { z } from 'zod';

/**
 * Names, identifiers and numbers as the PCS API Reference has them (docs.aws.amazon.com/pcs/latest/APIReference, API version
 * 2023-02-10). A pattern there means the whole value.
 */
const whole = (pattern: string) => z.string().regex(new RegExp(`^(?:${pattern})$`));

const resourceName = '(?!pcs_)^[A-Za-z][A-Za-z0-9-]+';
export const ClusterName = whole(resourceName).min(3).max(40);
/** Of a compute node group or a queue. */
export const PartName = whole(resourceName).min(3).max(25);
/** The name, or the id that PCS made. */
export const ClusterIdentifier = whole('(pcs_[a-zA-Z0-9]+|[A-Za-z][A-Za-z0-9-]{2,40})');
export const PartIdentifier = whole('(pcs_[a-zA-Z0-9]+|[A-Za-z][A-Za-z0-9-]{2,25})');
export const Arn = whole('arn:aws.*:pcs:.*:[0-9]{12}:.*/[a-z0-9_\\-]+').min(1).max(1011);

export const AmiId = whole('ami-[a-z0-9]+');
/** Empty: back to the launch template's. */
export const AmiIdOrEmpty = whole('(ami-[a-z0-9]+)?');
export const SubnetId = whole('subnet-\\w{8,17}');
export const SecurityGroupId = whole('sg-\\w{8,17}');
export const KeyPairName = z.string().min(1).max(255);
export const KeyPairNameOrEmpty = z.string().max(255);
export const InstanceProfileArn = whole(
  'arn:aws([a-zA-Z-]{0,10})?:iam::[0-9]{12}:instance-profile/([!-~]{1,510}/)?([\\w+=,.@-]{1,128})',
);

/** A retry with the token of an earlier request returns that request's result. */
export const ClientToken = z.string().min(8).max(100);
export const NextToken = z.string();
export const MaxResults = z.int().min(1).max(100);

const TagKey = z.string().min(1).max(128);
export const TagKeys = z.array(TagKey).min(1).max(200);
export const Tags = z.record(TagKey, z.string().max(256)).refine(
  (tags) => {
    const { length } = Object.keys(tags);
    return length >= 1 && length <= 200;
  },
  { error: '1 to 200 tags' },
);

/** Hex SHA-256. */
export const Checksum = whole('[a-fA-F0-9]{64}').min(64).max(64);
export const S3VersionId = z.string().max(1024);
export const S3Location = whole('s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+').min(1).max(1024);
export const ScriptLocation = whole(
  '(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+|https://([a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?\\.)+[a-zA-Z]{2,63}(?::[0-9]{1,5})?(?:[/?#][^\\s]*)?)',
)
  .min(1)
  .max(1024);
export const PluginName = whole('[A-Za-z0-9][A-Za-z0-9_-]*').min(1).max(64);
export const ScriptName = whole('[A-Za-z0-9][A-Za-z0-9 _-]*').min(1).max(64);
