import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Probe } from '../doctor.ts';
import { differenceToLockFile } from '../installed-packages.mjs';
import { findProgram, runProgram } from '../programs.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

export const nodeProbe: Probe = async () => {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const found = `${process.versions.node} (${process.execPath})`;
  // tsx needs module.register, which Node 20.6 brought.
  const enough = major > 20 || (major === 20 && minor >= 6);
  return enough
    ? { status: 'ok', found }
    : { status: 'missing', found: `${found}; 20.6 or newer is needed`, fix: 'nvm install 22' };
};

export const packagesProbe: Probe = async () => {
  const difference = differenceToLockFile(root);
  if (difference === undefined) return { status: 'ok', found: 'as package-lock.json has them' };
  return { status: 'missing', found: difference, fix: `npm ci --prefix ${root}` };
};

/** In a process of its own: a native library that does not fit the machine takes its process with it. */
export const onnxProbe: Probe = async () => {
  try {
    const library = createRequire(import.meta.url).resolve('onnxruntime-node');
    const program = `console.log(require(${JSON.stringify(library)}).env.versions.node)`;
    const { stdout } = await runProgram([process.execPath, '-e', program], 20_000);
    return { status: 'ok', found: `${stdout.trim()}, its native library loads` };
  } catch (error) {
    return { status: 'missing', found: `does not load: ${(error as Error).message}`, fix: `npm ci --prefix ${root}` };
  }
};

export const goProbe: Probe = async ({ path }) => {
  const go = findProgram(path, 'go');
  if (!go)
    return {
      status: 'warn',
      found: 'none; needed only where the Temporal CLI cannot be downloaded',
      fix: 'apt-get install golang',
    };
  const { stdout } = await runProgram([go, 'version'], 10_000);
  return { status: 'ok', found: stdout.trim().replace(/^go version /, '') };
};

/** What oracle tests and benchmarks compare with; goto3 itself needs none of them. */
const oracles = {
  sklearn: 'scikit-learn',
  onnx: 'onnx',
  onnxruntime: 'onnxruntime',
  numpy: 'numpy',
  scipy: 'scipy',
  moto: 'moto',
  botocore: 'botocore',
};
const oracleProgram = `
import importlib.util, json, platform
names = ${JSON.stringify(Object.keys(oracles))}
print(json.dumps([platform.python_version(), [n for n in names if importlib.util.find_spec(n)]]))
`;

export const pythonProbe: Probe = async ({ path }) => {
  const python = findProgram(path, 'python3');
  if (!python)
    return {
      status: 'warn',
      found: 'none; needed only for oracle tests and benchmarks',
      fix: 'apt-get install python3-venv',
    };
  const { stdout } = await runProgram([python, '-c', oracleProgram], 10_000);
  const [version, present] = JSON.parse(stdout) as [string, string[]];
  const absent = Object.entries(oracles).filter(([name]) => !present.includes(name));
  const found = `${version} (${python}), oracles: ${present.join(' ') || 'none'}`;
  if (absent.length === 0) return { status: 'ok', found };
  return {
    status: 'warn',
    found: `${found}; without: ${absent.map(([name]) => name).join(' ')}`,
    fix: `python3 -m venv .venv && .venv/bin/pip install ${absent.map(([, distribution]) => distribution).join(' ')}`,
  };
};

export const slurmProbe: Probe = async ({ path }) => {
  const sbatch = findProgram(path, 'sbatch');
  if (!sbatch) return { status: 'warn', found: 'none; jobs run locally', fix: 'apt-get install slurm-wlm' };
  const { stdout } = await runProgram([sbatch, '--version'], 10_000);
  return { status: 'ok', found: `${stdout.trim()} (${sbatch})` };
};

export const chromiumProbe: Probe = async ({ path }) => {
  const browser = ['chromium', 'chromium-browser', 'google-chrome']
    .map((name) => findProgram(path, name))
    .find(Boolean);
  return browser
    ? { status: 'ok', found: browser }
    : { status: 'warn', found: 'none; needed only for the screenshots in docs/', fix: 'apt-get install chromium' };
};
