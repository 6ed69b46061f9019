import { readFile } from 'node:fs/promises';
import { type ClusterQueue, clusterQueues } from '../jobs/parallelcluster/queues.ts';
import { ParallelClusterFile } from '../jobs/parallelcluster/schema.ts';
import { InvalidFile } from './errors.ts';
import { problemLines } from './problem-lines.ts';
import { parseYaml, placeFinder } from './yaml.ts';

/**
 * Queues of an AWS ParallelCluster v3 file.
 * @throws InvalidFile for what can never have a node, with line and column
 */
export async function readParallelCluster(path: string): Promise<ClusterQueue[]> {
  const bytes = await readFile(path).catch(() => {
    throw new InvalidFile(path, ['no such file']);
  });
  return parallelClusterQueues(path, bytes);
}

export function parallelClusterQueues(what: string, bytes: Uint8Array): ClusterQueue[] {
  const file = parseYaml(what, bytes);
  const parsed = ParallelClusterFile.safeParse(file);
  if (!parsed.success)
    throw new InvalidFile(
      what,
      problemLines(parsed.error.issues, { file, bytes, columns: true, schema: ParallelClusterFile }),
    );
  const { queues, problems } = clusterQueues(parsed.data);
  const placeOf = placeFinder(bytes);
  if (problems.length > 0)
    throw new InvalidFile(
      what,
      problems.map(({ path, message }) => {
        const place = placeOf(path);
        return `${path.join('.')}: ${message}${place ? ` (line ${place.line}, column ${place.column})` : ''}`;
      }),
    );
  return queues;
}
