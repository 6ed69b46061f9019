import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with requests whose path matches, as long as `times` lasts. */
export interface HubFault {
  readonly path: RegExp;
  readonly kind: 'status' | 'cut' | 'wrongBytes' | 'stall';
  readonly status?: number;
  times: number;
}

interface Repo {
  /** Branches and tags by name; commits stand for themselves. */
  readonly refs: Map<string, string>;
  readonly commits: Map<string, ReadonlyMap<string, Buffer>>;
  readonly token: string | undefined;
}

/** Files that the hub keeps outside git: its default .gitattributes tracks weights; we go by size as well. */
const isLarge = (path: string, bytes: Buffer): boolean => path.endsWith('.safetensors') || bytes.length > 100_000;

/**
 * The part of the Hugging Face hub's HTTP interface that model downloads use, on 127.0.0.1. Shapes by the client
 * (@huggingface/hub 2.17.5: model-info, list-files, file-download-info) and https://huggingface.co/docs/hub/api:
 * `/api/models/<repo>/revision/<rev>`, `/api/models/<repo>/tree/<rev>` in pages with a Link header, `/<repo>/resolve/<rev>/<path>`
 * with ranges, large files by a redirect to another host with X-Linked-Size and X-Linked-ETag, errors with X-Error-Code.
 * Python's huggingface_hub downloads from it too (test/oracles/hub.test.ts). Assumed: the page size, the wording of errors.
 */
export class HubDouble {
  readonly faults: HubFault[] = [];
  /** `GET path` of every request, and whether it carried a token. */
  readonly requests: { path: string; token: string | undefined }[] = [];
  private readonly repos = new Map<string, Repo>();
  private readonly large = new Map<string, Buffer>();
  private readonly server: Server;
  private readonly pageSize = 3;

  constructor() {
    this.server = createServer((request, response) => {
      this.answer(request, response);
    });
  }

  async start(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** A new commit on `main` with exactly these files; returns its name. */
  push(name: string, files: Readonly<Record<string, Buffer | string>>, token?: string): string {
    const repo = this.repos.get(name) ?? { refs: new Map(), commits: new Map(), token };
    this.repos.set(name, repo);
    const tree = new Map(Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes)]));
    const commit = createHash('sha1').update(`${name} ${repo.commits.size}`).digest('hex');
    repo.commits.set(commit, tree);
    repo.refs.set('main', commit);
    for (const [path, bytes] of tree) if (isLarge(path, bytes)) this.large.set(sha256(bytes), bytes);
    return commit;
  }

  /** Paths of the downloads so far that were not one-byte probes. */
  readonly downloads: string[] = [];

  private answer(request: IncomingMessage, response: ServerResponse): ServerResponse {
    const url = new URL(request.url ?? '/', this.url);
    const token = request.headers.authorization?.replace(/^Bearer /, '');
    this.requests.push({ path: url.pathname, token });
    const fault = this.faults.find(({ path, times }) => times > 0 && path.test(url.pathname));
    if (fault !== undefined) fault.times--;
    if (fault?.kind === 'status') return fail(response, fault.status ?? 500, 'ServerError');
    if (fault?.kind === 'stall') {
      response.writeHead(200, { 'content-length': 10 }).flushHeaders();
      return response;
    }
    const parts = url.pathname.split('/').slice(1).map(decodeURIComponent);
    if (parts[0] === 'large') {
      const bytes = this.large.get(parts[1] ?? '');
      if (bytes === undefined) return fail(response, 404, 'EntryNotFound');
      return this.send(request, response, bytes, url.pathname, fault);
    }
    const isApi = parts[0] === 'api' && parts[1] === 'models';
    const [owner, short, verb = '', revision = '', ...path] = isApi ? parts.slice(2) : parts;
    const repo = this.repos.get(`${owner}/${short}`);
    // The hub does not tell an unknown repository from a private one.
    if (repo === undefined) return fail(response, 401, 'RepoNotFound');
    if (repo.token !== undefined && repo.token !== token)
      return fail(response, token === undefined ? 401 : 403, 'GatedRepo');
    const commit = repo.refs.get(revision === 'HEAD' ? 'main' : revision) ?? revision;
    const tree = repo.commits.get(commit);
    if (tree === undefined) return fail(response, 404, 'RevisionNotFound');
    if (isApi && verb === 'revision') return this.info(response, `${owner}/${short}`, commit, tree);
    if (isApi && verb === 'tree') return this.tree(response, url, tree);
    if (!isApi && verb === 'resolve') return this.resolve(request, response, commit, path.join('/'), tree, fault);
    return fail(response, 404, 'EntryNotFound');
  }

  private info(response: ServerResponse, id: string, sha: string, tree: ReadonlyMap<string, Buffer>): ServerResponse {
    const siblings = [...tree.keys()].map((rfilename) => ({ rfilename }));
    const lastModified = '2026-01-01T00:00:00.000Z';
    return json(response, {
      _id: '0',
      id,
      modelId: id,
      sha,
      private: false,
      gated: false,
      likes: 0,
      downloads: 0,
      lastModified,
      siblings,
    });
  }

  private tree(response: ServerResponse, url: URL, tree: ReadonlyMap<string, Buffer>): ServerResponse {
    const folders = new Set(
      [...tree.keys()].flatMap((path) => (path.includes('/') ? [path.slice(0, path.lastIndexOf('/'))] : [])),
    );
    const entries = [
      ...[...folders].map((path) => ({ type: 'directory', oid: gitId(Buffer.from(path)), size: 0, path })),
      ...[...tree].map(([path, bytes]) => {
        if (!isLarge(path, bytes)) return { type: 'file', oid: gitId(bytes), size: bytes.length, path };
        const pointer = Buffer.from(
          `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(bytes)}\nsize ${bytes.length}\n`,
        );
        const lfs = { oid: sha256(bytes), size: bytes.length, pointerSize: pointer.length };
        return { type: 'file', oid: gitId(pointer), size: bytes.length, path, lfs };
      }),
    ];
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const next = start + this.pageSize;
    if (next < entries.length) {
      const link = new URL(url);
      link.searchParams.set('cursor', String(next));
      response.setHeader('Link', `<${link.href}>; rel="next"`);
    }
    return json(response, entries.slice(start, next));
  }

  private resolve(
    request: IncomingMessage,
    response: ServerResponse,
    commit: string,
    path: string,
    tree: ReadonlyMap<string, Buffer>,
    fault: HubFault | undefined,
  ): ServerResponse {
    const bytes = tree.get(path);
    if (bytes === undefined) return fail(response, 404, 'EntryNotFound');
    response.setHeader('X-Repo-Commit', commit);
    if (!isLarge(path, bytes)) {
      response.setHeader('ETag', `"${gitId(bytes)}"`);
      return this.send(request, response, bytes, path, fault);
    }
    response.setHeader('X-Linked-Size', bytes.length);
    response.setHeader('X-Linked-ETag', `"${sha256(bytes)}"`);
    return response
      .writeHead(302, { location: `${this.url.replace('127.0.0.1', 'localhost')}/large/${sha256(bytes)}` })
      .end();
  }

  private send(
    request: IncomingMessage,
    response: ServerResponse,
    bytes: Buffer,
    path: string,
    fault: HubFault | undefined,
  ): ServerResponse {
    if (response.getHeader('ETag') === undefined) response.setHeader('ETag', `"${sha256(bytes)}"`);
    response.setHeader('Accept-Ranges', 'bytes');
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = range === null ? 0 : Number(range[1]);
    const to = range?.[2] ? Math.min(Number(range[2]), bytes.length - 1) : bytes.length - 1;
    if (request.method !== 'HEAD' && request.headers.range !== 'bytes=0-0') this.downloads.push(path);
    const body = Buffer.from(bytes.subarray(from, to + 1));
    if (fault?.kind === 'wrongBytes') body[body.length - 1]! ^= 1;
    if (range !== null) response.setHeader('Content-Range', `bytes ${from}-${to}/${bytes.length}`);
    response.writeHead(range === null ? 200 : 206, { 'content-length': body.length });
    if (request.method === 'HEAD') return response.end();
    if (fault?.kind !== 'cut') return response.end(body);
    response.write(body.subarray(0, body.length >> 1), () => response.destroy());
    return response;
  }
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const gitId = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

function json(response: ServerResponse, value: unknown): ServerResponse {
  return response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(value));
}

function fail(response: ServerResponse, status: number, code: string): ServerResponse {
  const headers = { 'X-Error-Code': code, 'X-Error-Message': code, 'content-type': 'application/json' };
  return response.writeHead(status, headers).end(JSON.stringify({ error: code }));
}
