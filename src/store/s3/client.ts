import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { S3Client } from '@aws-sdk/client-s3';

export type S3Sdk = typeof import('@aws-sdk/client-s3');

export interface S3Clients {
  sdk: S3Sdk;
  client: S3Client;
  /** Sends nothing twice. */
  once: S3Client;
}

export interface ClientOptions {
  /** Else as the SDK finds it: AWS_REGION, the profile. */
  region?: string;
  /** Server in place of AWS. */
  endpoint?: string;
  /** A socket on which nothing moves for so long is given up; 30 s. */
  idleMs?: number;
}

/** Enough to keep a 10 Gbit link busy with small objects; each costs a file handle. */
const maxSockets = 64;
const connectionTimeoutMs = 5_000;
const attempts = 6;
/** Nothing moved on the socket for so long: the request counts as lost and is tried again. */
const idleTimeoutMs = 30_000;

/** Credentials by the SDK's default chain only: nothing of ours ever holds one. */
export async function s3Clients(options: ClientOptions): Promise<S3Clients> {
  // Loaded where a bucket is used: half a second that a store on disk does not need.
  const [sdk, { NodeHttpHandler }] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@smithy/node-http-handler'),
  ]);
  const { region, endpoint, idleMs = idleTimeoutMs } = options;
  const agent = { keepAlive: true, maxSockets };
  const requestHandler = new NodeHttpHandler({
    connectionTimeout: connectionTimeoutMs,
    socketTimeout: idleMs,
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent(agent),
  });
  const connect = (maxAttempts: number): S3Client => {
    const client = new sdk.S3Client({
      ...(region !== undefined && { region }),
      // Servers that are not AWS are reached by one name: the bucket goes into the path.
      ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
      maxAttempts,
      retryMode: 'standard',
      // Bodies come with checksums of ours (the digest, or a CRC for parts); answers are checked against the digest.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler,
    });
    signByDigest(client);
    return client;
  };
  return { sdk, client: connect(attempts), once: connect(1) };
}

/**
 * A request's signature covers the SHA-256 of its body. Where the body comes with one, the SDK would hash it again; where
 * it comes with a CRC, the CRC is signed instead.
 */
function signByDigest(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      const sha256 = headers['x-amz-checksum-sha256'];
      if (sha256 !== undefined) headers['x-amz-content-sha256'] = Buffer.from(sha256, 'base64').toString('hex');
      else if (headers['x-amz-checksum-crc32'] !== undefined) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return await next(args);
    },
    { step: 'build', name: 'goto3SignByDigest' },
  );
}
