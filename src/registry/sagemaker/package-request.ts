import type { CreateModelPackageCommandInput, MetricsSource } from '@aws-sdk/client-sagemaker';
import type { Digest } from '../../contracts/digest.ts';
import type { Registrable } from '../../contracts/messages.ts';
import type { SageMakerRegistryTarget } from '../../contracts/sagemaker-target.ts';
import type { Candidate } from './candidate.ts';

/** Keys of CustomerMetadataProperties: who we are to ourselves. */
export const metadataKeys = { model: 'goto3:model', version: 'goto3:version', by: 'goto3:decidedBy' } as const;
/** Tag of a group: the store whose models it holds. */
export const storeTag = 'goto3:store';

/** Values of customer metadata: at most 256 of letters, digits, blanks and `_.:/=+-@` (API_CreateModelPackage). Pure. */
export const metadataValue = (text: string): string =>
  text.replaceAll(/[^\p{L}\p{Z}\p{N}_.:/=+\-@]/gu, '_').slice(0, 256) || '-';

/** ApprovalDescription: one line of at most 1,024 characters. Pure. */
export const approvalDescription = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 1_024);

export interface PackagePlaces {
  /** `s3://…/`, the model's files below it. */
  modelData: string;
  quality: { uri: string; digest: Digest };
  evaluation: { uri: string; digest: Digest };
}

/**
 * The request for a candidate's package: the same for the same candidate, so that its ClientToken holds. It waits for
 * approval whatever the spec says: our own word follows.
 */
export function packageRequest(
  { candidate, verdict, loop, n }: Registrable,
  { model, evaluation, dataset, run, runDigest, result }: Candidate,
  { image, instances }: SageMakerRegistryTarget,
  places: PackagePlaces,
): CreateModelPackageCommandInput {
  const report = ({ uri, digest }: PackagePlaces['quality']): MetricsSource => ({
    ContentType: 'application/json',
    S3Uri: uri,
    ContentDigest: digest,
  });
  const metadata: Record<string, string> = {
    [metadataKeys.model]: candidate,
    'goto3:verdict': verdict,
    'goto3:verdictResult': result,
    'goto3:dataset': model.dataset,
    'goto3:run': runDigest,
    'goto3:evaluation': places.evaluation.digest,
    'goto3:loop': loop,
    'goto3:cycle': String(n),
    'goto3:job': run.job,
    'goto3:precision': model.precision,
    'goto3:rows': String(dataset.rowCount),
    'goto3:evaluatedRows': String(evaluation.rowCount),
  };
  return {
    ModelPackageDescription: describes(candidate, `${loop} cycle ${n}, ${model.precision}`),
    ModelApprovalStatus: 'PendingManualApproval',
    InferenceSpecification: {
      Containers: [
        {
          Image: image,
          ModelDataSource: {
            S3DataSource: { S3Uri: places.modelData, S3DataType: 'S3Prefix', CompressionType: 'None' },
          },
          Environment: { GOTO3_MODEL: candidate },
          Framework: 'ONNX',
        },
      ],
      SupportedContentTypes: ['application/json'],
      SupportedResponseMIMETypes: ['application/json'],
      SupportedRealtimeInferenceInstanceTypes: instances as never,
    },
    ModelMetrics: { ModelQuality: { Statistics: report(places.quality), Constraints: report(places.evaluation) } },
    MetadataProperties: { GeneratedBy: `goto3:job/${run.job}` },
    CustomerMetadataProperties: Object.fromEntries(
      Object.entries(metadata).map(([key, value]) => [key, metadataValue(value)]),
    ),
  };
}

/** A list of packages shows descriptions and no metadata: so the digest is in both. */
const describes = (candidate: Digest, text: string): string => `${candidate} ${text}`;
export const isDescribedAs = (description: string | undefined, candidate: Digest): boolean =>
  description?.startsWith(`${candidate} `) ?? false;
