import type { Command } from 'commander';
import type { Promotion } from '../../../models/promotion-log.ts';
import type { Store } from '../../../store/types.ts';
import { InvalidArgument } from '../../errors.ts';
import { define, defineRequest, runs, withReason } from '../command.ts';
import { exitCodes } from '../errors.ts';
import { facts, table } from '../output.ts';
import type { Session } from '../session.ts';
import { clock, short } from '../words.ts';

interface PromoteOptions {
  from: string;
  to: string;
  loop?: string;
  by?: string;
  reason: string;
}

interface DeployOptions {
  loop?: string;
  reason: string;
}

/** `goto3 models promote|promotions|approve|reject|deploy`. */
export function registerModelsPromote(models: Command): void {
  withReason(
    define(models, 'promote <model>', 'a version into another environment, judged by the gate there', [
      'models promote spam-filter@7 --from staging --to prod',
      'models promote spam-filter@7 --from staging --to prod     again, after a kill: it goes on',
    ])
      .requiredOption('--from <env>', 'environment of goto3.yaml that has the version')
      .requiredOption('--to <env>', 'environment that is to have it')
      .option('--loop <name>', 'whose gate and hold-out there, where several loops have the model')
      .option('--by <name>', 'who asks, for the record (default: account@host)'),
    'asked by hand',
  ).action(runs<PromoteOptions, [model: string]>(promoteVersion));

  withReason(
    defineRequest(models, 'deploy <model>', 'roll a version out on the endpoint of its loop, as a cycle would', [
      'models deploy spam-filter@8 --env prod                     what was promoted gets to serve',
      'models deploy spam-filter@5 --reason "the one of May again"',
    ]).option('--loop <name>', 'whose endpoint and rollout, where several loops have the model'),
    'asked by hand',
  ).action(runs<DeployOptions, [model: string]>(deploy));

  define(models, 'promotions <model>', 'versions that came from other environments, and those that wait', [
    'models promotions spam-filter --env prod',
  ]).action(
    runs<object, [model: string]>(async (session, _options, model) => {
      const { promotions } = await import('../../../models/promotion-log.ts');
      const all = await promotions(await session.store(), model);
      const text =
        table(
          ['promotion', 'from', 'state', 'since', 'what'],
          all.map((p) => [
            p.key.slice(0, 12),
            `${p.plan.from}@${p.plan.version}`,
            p.state,
            clock(p.at),
            p.reasons[0] ?? '',
          ]),
          session.output,
        ) || `nothing was promoted to ${model} here`;
      return { document: { model, promotions: all }, text };
    }),
  );

  for (const [verb, description] of [
    ['approve', 'let a promotion that waits become a version'],
    ['reject', 'turn a promotion that waits down'],
  ] as const)
    withReason(
      define(models, `${verb} <model> <promotion>`, description, [
        `models ${verb} spam-filter 5f1c02ab --env prod --by ann --reason "looked at the slices"`,
      ]).option('--by <name>', 'who says so, for the record (default: account@host)'),
    ).action(
      runs<{ reason: string }, [model: string, promotion: string]>(async (session, { reason }, model, start) => {
        const { decidePromotion } = await import('../../../models/approve.ts');
        const { promotions } = await import('../../../models/promotion-log.ts');
        const store = await session.store();
        const found = (await promotions(store, model)).filter(({ key }) => key.startsWith(start));
        if (!/^[0-9a-f]{6,40}$/.test(start) || found.length !== 1)
          throw new InvalidArgument(
            `promotion ${JSON.stringify(start)}: ${found.length > 1 ? 'several begin so' : 'there is none'}; goto3 models promotions ${model} lists them`,
          );
        const word = { approved: verb === 'approve', by: session.by, reason };
        return await shown(session, store, await decidePromotion(store, model, found[0]!.key, word));
      }),
    );
}

async function promoteVersion(session: Session, options: PromoteOptions, what: string) {
  const { openEnvironment } = await import('../../open-environment.ts');
  const { loopOfModel } = await import('../../model-loop.ts');
  const { modelVersion } = await import('../../models.ts');
  const { promote } = await import('../../../models/promote.ts');
  const { localEvaluation } = await import('../local-evaluation.ts');

  const { model, version } = versionNamed(what);
  if (options.from === options.to)
    throw new InvalidArgument(`--to ${options.to}: expected another environment than --from`);
  const [from, to] = [await openEnvironment(options.from), await openEnvironment(options.to)];
  const { digest, version: number } = await modelVersion(from.store, model, version);
  const result = await promote({
    ...{ source: from.store, target: to.store, model, version: number, digest, from: options.from },
    loop: await loopOfModel(to.store, model, options.loop),
    ...(to.signing && { signing: to.signing }),
    program: (spec, key) => localEvaluation(to, spec, key),
    ...{ by: session.by, reason: options.reason },
    signal: new AbortController().signal,
    onStep: (step) => session.output.note(step),
  });
  return await shown(session, to.store, result, options.to);
}

function versionNamed(what: string): { model: string; version: number } {
  const [, model, version] = /^([^@]+)@([1-9]\d{0,8})$/.exec(what) ?? [];
  if (model === undefined)
    throw new InvalidArgument(`${JSON.stringify(what)}: expected <model>@<version>, such as spam-filter@7`);
  return { model, version: Number(version) };
}

async function deploy(session: Session, { loop, reason }: DeployOptions, what: string) {
  const { deployVersion } = await import('../../deploy-version.ts');
  const { model, version } = versionNamed(what);
  const word = { ...session.word(reason), by: session.by, ...(loop !== undefined && { loop }) };
  const answer = await deployVersion(await session.goto3(), model, version, word);
  const text = `${answer.endpoint}, ${model}@${version}: ${answer.state}, ${answer.reason}; goto3 endpoint status ${answer.endpoint} shows how far it is`;
  return { document: { requestId: session.requestId, model, ...answer }, text };
}

const exitCodeOf: Readonly<Record<Promotion['state'], number>> = {
  approved: exitCodes.ok,
  waiting: exitCodes.ok,
  judging: exitCodes.failed,
  failed: exitCodes.failed,
  held: exitCodes.failed,
  rejected: exitCodes.failed,
};

async function shown(session: Session, store: Store, promotion: Promotion, environment?: string) {
  const { key, plan, state, reasons, waiting, verdict } = promotion;
  const env = environment === undefined ? '' : ` --env ${environment}`;
  const text = facts(
    [
      ['promotion', key.slice(0, 12)],
      ['version', `${plan.model}@${plan.version} of ${plan.from}, ${short(plan.digest)}`],
      ['state', state],
      [
        'waits for',
        waiting && state === 'waiting' ? `one of ${waiting.by.join(', ')} until ${clock(waiting.deadline)}` : undefined,
      ],
      [
        '',
        state === 'waiting' ? `goto3 models approve ${plan.model} ${key.slice(0, 12)}${env} --reason "..."` : undefined,
      ],
      ['to serve it', await deployCommand(store, promotion, env)],
      ['verdict', verdict ?? undefined],
      ['because', reasons.slice(0, 3).join('; ') || undefined],
    ],
    session.output.paint,
  );
  return { document: promotion, text, exitCode: exitCodeOf[state] };
}

/** What is approved here serves when somebody rolls it out; without an endpoint it is the champion already. */
async function deployCommand(store: Store, { state, plan }: Promotion, env: string): Promise<string | undefined> {
  if (state !== 'approved') return undefined;
  const { appliedLoop } = await import('../../apply.ts');
  const { versionOfDigest } = await import('../../models.ts');
  const applied = await appliedLoop(store, plan.loop);
  if (!applied || applied.spec.rollout === 'none') return undefined;
  return `goto3 models deploy ${plan.model}@${await versionOfDigest(store, plan.model, plan.digest)}${env}`;
}
