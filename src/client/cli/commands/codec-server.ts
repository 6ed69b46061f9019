import type { Command } from 'commander';
import { InvalidArgument } from '../../errors.ts';
import { define, runs } from '../command.ts';

interface Options {
  port: string;
  host: string;
  origin: readonly string[];
  tokenSecret?: string;
}

/** Where the SDK's samples have theirs. */
const defaultPort = '8081';

export function registerCodecServer(program: Command): void {
  define(program, 'codec-server', 'decode payloads for the Temporal Web UI and CLI of this machine, until Ctrl-C', [
    'codec-server                                       with the keys of GOTO3_CODEC_KEYS, for the Web UI of `goto3 up`',
    'codec-server --token-secret codec-server-token     asks for `Authorization: Bearer <that secret>`',
    'codec-server --origin https://temporal.example.org',
  ])
    .option('--port <port>', 'where it listens; 0 is any free one', defaultPort)
    .option('--host <address>', 'another address than this machine alone needs --token-secret', '127.0.0.1')
    .option(
      '--origin <url>',
      "the Web UI's origin, more than once for more (default: the Web UI of `goto3 up`)",
      (url: string, before: readonly string[]) => [...before, originOf(url)],
      [],
    )
    .option('--token-secret <name>', 'the secret that holds the bearer token')
    .action(
      runs<Options>(async ({ environment, output }, { port, host, origin, tokenSecret }) => {
        const { serveCodec } = await import('../../../codec/server.ts');
        const { payloadCodec } = await import('../../../codec/payload-codec.ts');
        const { openKeyring } = await import('../../../stack/data-converter.ts');
        const { inheritedEnvironment } = await import('../../../stack/environment.ts');
        const { localSecrets } = await import('../../../stack/secrets.ts');
        const keyring = await openKeyring(environment);
        if (!keyring) throw new InvalidArgument('GOTO3_CODEC_KEYS is not set: there is nothing to decode with');
        const secrets = localSecrets(environment.home, inheritedEnvironment());
        const origins = origin.length > 0 ? origin : await embeddedOrigins(environment.home);
        const server = await serveCodec({
          codec: payloadCodec(keyring, environment.temporalNamespace),
          namespace: environment.temporalNamespace,
          origins,
          host,
          port: portOf(port),
          ...(tokenSecret !== undefined && { token: await secrets.resolve(tokenSecret) }),
        });
        output.result({
          document: {
            url: server.url,
            namespace: environment.temporalNamespace,
            origins,
            keys: [...keyring.keys.keys()],
          },
          text: `codec server at ${server.url}, for pages of ${origins.join(', ') || 'nobody'}: set it as the codec endpoint in the Web UI, or --codec-endpoint`,
        });
        await new Promise<void>((resolve) => {
          process.once('SIGTERM', () => resolve()).once('SIGINT', () => resolve());
        });
        await server.close();
        return undefined;
      }),
    );
}

/** The Web UI's origin is whichever name was typed for this machine. */
async function embeddedOrigins(home: string): Promise<string[]> {
  const { readAddresses } = await import('../../../stack/addresses.ts');
  const { stateLayout } = await import('../../../stack/layout.ts');
  const uiUrl = readAddresses(stateLayout(home))?.temporal.uiUrl;
  if (uiUrl === undefined) return [];
  const { port } = new URL(uiUrl);
  return ['127.0.0.1', 'localhost'].map((name) => `http://${name}:${port}`);
}

function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && /^https?:$/.test(parsed.protocol) && parsed.origin === url.replace(/\/$/, '')) return parsed.origin;
  throw new InvalidArgument(
    `--origin ${JSON.stringify(url)}: expected scheme, host and port alone, such as http://127.0.0.1:8233`,
  );
}

function portOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgument(`--port ${JSON.stringify(text)}: expected a number from 0 to 65535`);
}
