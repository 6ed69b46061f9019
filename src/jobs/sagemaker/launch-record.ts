import type { ArtifactFile, Digest } from '../../contracts/digest.ts';
import type { JobSpec } from '../../contracts/job.ts';
import type { WrapperLimits } from '../local/launch.ts';

/** A file of a channel and the key below the channel's folder under which SageMaker puts its bytes. */
export interface StagedFile extends ArtifactFile {
  key: string;
}

/** All that the launcher in the container is told, and the record of what a job's name means. */
export interface LaunchRecord {
  specDigest: Digest;
  spec: JobSpec;
  submittedAt: string;
  /** By SageMaker channel. */
  files: Record<string, StagedFile[]>;
  /** The program's folder comes with the job; otherwise the image has it, under its own path. */
  bringsCode: boolean;
  limits: WrapperLimits;
}

export interface CancelRecord {
  at: string;
}
