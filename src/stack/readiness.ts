import { get } from 'node:http';
import { connect } from 'node:net';
import type { Readiness } from './child-spec.ts';
import type { TemporalConnection } from './temporal-profile.ts';

const probeTimeoutMs = 2_000;

/** Resolves when the child answers as it should, rejects with the reason when it does not, within 2 s. */
export async function probe(readiness: Readiness): Promise<void> {
  if (readiness.kind === 'http') await probeHttp(readiness.url);
  else await probeTemporal(readiness.address);
}

function probeHttp(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // One connection a probe: a kept one would still reach the old process while its successor waits for the port.
    const request = get(url, { timeout: probeTimeoutMs, agent: false }, (response) => {
      response.resume();
      if (response.statusCode === 200) response.on('end', resolve).on('error', reject);
      else reject(new Error(`${url} answered ${response.statusCode}`));
    });
    request.on('timeout', () => request.destroy(new Error(`${url} did not answer within ${probeTimeoutMs} ms`)));
    request.on('error', reject);
  });
}

async function probeTemporal(address: string, beyond: TemporalConnection = {}): Promise<void> {
  // gRPC itself would wait a second after a refused connection before it tries again.
  await tcpConnect(address);
  // Loaded when there is a server to ask: it costs 0.2 s of CPU, which a command about other things need not pay.
  const { Connection } = await import('@temporalio/client');
  const connection = Connection.lazy({ ...beyond, address });
  try {
    await connection.withDeadline(Date.now() + probeTimeoutMs, () => connection.workflowService.getSystemInfo({}));
  } finally {
    await connection.close();
  }
}

function tcpConnect(address: string): Promise<void> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(address.slice(at + 1)), timeout: probeTimeoutMs }, () => {
      socket.destroy();
      resolve();
    });
    socket.on('timeout', () => socket.destroy(new Error(`${address} did not answer within ${probeTimeoutMs} ms`)));
    socket.on('error', reject);
  });
}

/**
 * Waits until a Temporal server answers a real call.
 * @param address host:port
 * @param deadline a time, in milliseconds since 1970
 * @param beyond TLS and API key of a server that is not ours
 * @throws Error with the last answer when the deadline passes first
 */
export async function waitUntilServing(
  address: string,
  deadline: number,
  beyond: TemporalConnection = {},
): Promise<void> {
  for (;;) {
    try {
      await probeTemporal(address, beyond);
      return;
    } catch (error) {
      if (Date.now() >= deadline) throw new Error(`no Temporal server answers at ${address}`, { cause: error });
    }
    await new Promise((wake) => setTimeout(wake, 50));
  }
}
