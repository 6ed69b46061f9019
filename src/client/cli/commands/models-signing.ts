import type { Command } from 'commander';
import { InvalidArgument } from '../../errors.ts';
import { define, runs } from '../command.ts';
import { facts } from '../output.ts';
import { short } from '../words.ts';

/** `goto3 models verify|sign|export`. */
export function registerModelSigning(models: Command): void {
  define(models, 'verify <model>', 'a trusted key vouches for it, and the store has just these bytes', [
    'models verify spam-filter@3                        with the keys of signing.yaml',
    'models verify spam-filter --key release.pub        with this key alone',
  ])
    .option(
      '--key <file>',
      'a public key in PEM that is trusted, more than once for more',
      (file: string, before: readonly string[]) => [...before, file],
      [] as readonly string[],
    )
    .action(
      runs<{ key: readonly string[] }, [model: string]>(async (session, { key }, what) => {
        const { readSigning, readTrustedKey } = await import('../../../stack/signing.ts');
        const { verifyStoredModel } = await import('../../model-signing.ts');
        const { resolveModel } = await import('../../models.ts');
        const trusted =
          key.length > 0
            ? await Promise.all(key.map(readTrustedKey))
            : ((await readSigning(session.environment))?.trusted ?? []);
        if (trusted.length === 0)
          throw new InvalidArgument(
            `no key is trusted: name them in ${session.environment.signingFile}, or with --key`,
          );
        const store = await session.store();
        const digest = await resolveModel(store, what);
        const { signer, model } = await verifyStoredModel(store, digest, trusted);
        const text = facts(
          [
            ['verified', `${model.model} from cycle ${model.loop}/${model.cycle}, ${short(digest)}`],
            ['files', String(model.files.length)],
            ['signed by', `key ${signer}`],
          ],
          session.output.paint,
        );
        return { document: { digest, model: model.model, signer, files: model.files.length }, text };
      }),
    );

  define(models, 'sign <model>', 'vouch for a model with the key of signing.yaml', [
    'models sign spam-filter@3                          one from before models were signed, or after a new key',
  ]).action(
    runs<object, [model: string]>(async (session, _options, what) => {
      const { readSigning } = await import('../../../stack/signing.ts');
      const { recordSignature } = await import('../../../store/signing/registry.ts');
      const { getManifest } = await import('../../../store/manifests.ts');
      const { resolveModel } = await import('../../models.ts');
      const rules = await readSigning(session.environment);
      if (!rules?.signWith)
        throw new InvalidArgument(
          `${session.environment.signingFile}: expected signing.signWith, the secret with the private key`,
        );
      const store = await session.store();
      const digest = await resolveModel(store, what);
      const key = await rules.signWith();
      await recordSignature(store, digest, await getManifest(store, digest, 'Model'), key);
      return {
        document: { digest, signer: key.fingerprint },
        text: `${digest} is signed by the key ${key.fingerprint}`,
      };
    }),
  );

  define(models, 'export <model> <folder>', 'its files, manifest and signature, for any tool that verifies models', [
    'models export spam-filter@3 ./spam-filter',
  ]).action(
    runs<object, [model: string, folder: string]>(async (session, _options, what, folder) => {
      const { exportModel } = await import('../../model-signing.ts');
      const { resolveModel } = await import('../../models.ts');
      const store = await session.store();
      const digest = await resolveModel(store, what);
      const { signed } = await exportModel(store, digest, folder);
      const text = `${digest} is in ${folder}${signed ? ', with its signature model.sig' : '; it is not signed'}`;
      return { document: { digest, folder, signed }, text };
    }),
  );
}
