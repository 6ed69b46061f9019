import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Claim, type JobFolder, readControlFile } from './job-folder.ts';
import { publishOnce } from './publish.ts';

/** The claim that holds: the newest one. */
export async function readClaim(folder: JobFolder): Promise<{ number: number; claim: Claim } | undefined> {
  const number = Math.max(0, ...(await claimNumbers(folder)));
  const claim = number === 0 ? undefined : await readControlFile<Claim>(claimPath(folder, number));
  return claim && { number, claim };
}

/**
 * Only one process ever gets the right to run a job's program. Claim n+1 is created exclusively, and only a requeued
 * batch job may take the place of its own earlier start.
 */
export async function takeClaim(
  folder: JobFolder,
  mine: Claim,
): Promise<{ taken: true; number: number; previous?: Claim } | { taken: false; winner: Claim }> {
  for (;;) {
    const current = await readClaim(folder);
    if (current && !mayRetake(current.claim, mine)) return { taken: false, winner: current.claim };
    const number = (current?.number ?? 0) + 1;
    if (await publishOnce(claimPath(folder, number), JSON.stringify(mine)))
      return { taken: true, number, ...(current && { previous: current.claim }) };
  }
}

/** The same batch job, started again by its scheduler. Pure. */
export function mayRetake(previous: Claim, next: Claim): boolean {
  return (
    previous.batchJob !== undefined &&
    previous.batchJob.id === next.batchJob?.id &&
    next.batchJob.restarts > previous.batchJob.restarts
  );
}

/** Says that the wrapper with this claim has ended its program and left without an end of the job. */
export const leftPath = (folder: JobFolder, number: number): string => join(folder.path, `left-${number}.json`);

export const claimPath = (folder: JobFolder, number: number): string => join(folder.path, `claim-${number}.json`);

const claimNumbers = async (folder: JobFolder): Promise<number[]> =>
  (await readdir(folder.path)).flatMap((name) => {
    const match = /^claim-(\d+)\.json$/.exec(name);
    return match ? [Number(match[1])] : [];
  });

/** Starts the renewals of a claim. */
export const createHeartbeat = (folder: JobFolder): Promise<void> => writeFile(folder.heartbeat, '');

/** Renews by the file's mtime, which needs no space: a full disk must not kill a program that computes. */
export async function renewHeartbeat(folder: JobFolder): Promise<void> {
  const now = new Date();
  await utimes(folder.heartbeat, now, now);
}
