import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Receipt {
  event: string;
  loop: string;
  cycle?: number;
  text: string;
  command: string;
}

/** Whoever is on call: keeps what was posted. */
export class WebhookReceiver {
  readonly receipts: Receipt[] = [];
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
  }

  static async open(): Promise<WebhookReceiver> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        receiver.receipts.push(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Receipt);
        response.writeHead(200).end();
      });
    });
    const receiver = new WebhookReceiver(server);
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/on-call`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}
