import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));
const venv = fileURLToPath(new URL('../../.goto3/bench-endpoint-venv', import.meta.url));
const python = join(venv, 'bin', 'python');
const packages = ['fastapi', 'uvicorn', 'onnxruntime', 'numpy', 'uvloop', 'httptools'];

/** FastAPI + uvicorn + ONNX Runtime on a model file; its packages are installed into `.goto3` at first. */
export async function startPeer(
  modelFile: string,
): Promise<{ url: string; versions: Record<string, string>; stop(): Promise<void> }> {
  await install();
  const { stdout } = await run(python, [
    '-c',
    `import importlib.metadata as m; print(*(m.version(p) for p in ${JSON.stringify(packages)}))`,
  ]);
  const found = stdout.trim().split(' ');
  const child = spawn(python, [join(here, 'serve.py'), modelFile], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const url = `http://127.0.0.1:${port}`;
  while (!(await fetch(`${url}/ping`).catch(() => undefined))?.ok)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    url,
    versions: Object.fromEntries(packages.map((name, place) => [name, found[place]!])),
    async stop() {
      child.kill();
      await once(child, 'exit');
    },
  };
}

async function install(): Promise<void> {
  const done = join(venv, 'installed');
  if (
    await access(done).then(
      () => true,
      () => false,
    )
  )
    return;
  console.log('installing the peer into .goto3/bench-endpoint-venv …');
  await run('python3', ['-m', 'venv', venv]);
  await run(python, ['-m', 'pip', 'install', '--quiet', '-r', join(here, 'requirements.txt')]);
  await writeFile(done, '');
}
