import { runProgram } from '../stack/programs.ts';

/** UUIDs of this machine's NVIDIA GPUs; none without `nvidia-smi`. */
export async function findGpus(): Promise<string[]> {
  try {
    const { stdout } = await runProgram(['nvidia-smi', '--query-gpu=uuid', '--format=csv,noheader'], 10_000);
    return stdout
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}
