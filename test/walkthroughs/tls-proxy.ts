import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, connect, createSecureServer, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';

/** A private CA with a certificate for 127.0.0.1 and one for a client, as files of a folder. */
export function makeCertificates(folder: string): { ca: string; server: Pair; client: Pair } {
  const at = (name: string): string => join(folder, name);
  const openssl = (...argv: string[]): Buffer => execFileSync('openssl', argv, { stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
    '-days',
    '2',
    '-subj',
    '/CN=test CA',
  );
  const pair = (name: string, extensions: string): Pair => {
    openssl('req', ...newKey, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', `/CN=${name}`);
    writeFileSync(at(`${name}.ext`), extensions);
    const signed = [
      '-CA',
      at('ca.pem'),
      '-CAkey',
      at('ca.key'),
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      at(`${name}.ext`),
    ];
    openssl('x509', '-req', '-in', at(`${name}.csr`), '-out', at(`${name}.pem`), ...signed);
    return { cert: at(`${name}.pem`), key: at(`${name}.key`) };
  };
  return {
    ca: at('ca.pem'),
    server: pair('server', 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n'),
    client: pair('client', 'extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n'),
  };
}

export interface Pair {
  /** Paths of PEM files. */
  cert: string;
  key: string;
}

export interface TlsProxy {
  /** host:port */
  address: string;
  calls(): number;
  /** Calls whose API key was none or another. */
  refused(): number;
  close(): Promise<void>;
}

/**
 * Ends TLS before a Temporal server that has none: only clients of the CA get in, and only with the API key. Every gRPC
 * call is an HTTP/2 stream, passed on with its trailers.
 */
export async function startTlsProxy(
  upstream: string,
  { ca, server: { cert, key }, apiKey }: { ca: string; server: Pair; apiKey: string },
): Promise<TlsProxy> {
  let [calls, refused] = [0, 0];
  let session: ClientHttp2Session | undefined;
  const sockets = new Set<Socket>();
  const server = createSecureServer({
    ...{ cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca), requestCert: true },
    rejectUnauthorized: true,
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    calls += 1;
    if (headers.authorization !== `Bearer ${apiKey}`) {
      refused += 1;
      const said = {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': '16',
        'grpc-message': 'no such key',
      };
      stream.respond(said, { endStream: true });
      return;
    }
    if (!session || session.destroyed) {
      session = connect(`http://${upstream}`);
      session.on('error', () => {});
    }
    const { authorization: _key, ...rest } = headers;
    const request = session.request({ ...rest, ':scheme': 'http', ':authority': upstream });
    request.on('error', () => stream.close());
    let trailers: IncomingHttpHeaders = {};
    request.on('trailers', (given) => {
      trailers = given;
    });
    request.on('response', (given, flags) => {
      // END_STREAM: a call that failed at once has its status in its headers.
      const isAll = (flags & 0x1) !== 0;
      if (stream.destroyed) return;
      stream.respond(given, { endStream: isAll, waitForTrailers: !isAll });
      if (isAll) return;
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      request.pipe(stream);
    });
    stream.on('close', () => request.close());
    stream.pipe(request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: () => calls,
    refused: () => refused,
    async close() {
      session?.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
