import type { Command } from 'commander';
import type { EndpointStatus } from '../../../contracts/messages.ts';
import { InvalidArgument } from '../../errors.ts';
import { define, defineRequest, group, runs, withReason } from '../command.ts';
import { facts, type Paint } from '../output.ts';
import type { Session } from '../session.ts';
import { clock, short } from '../words.ts';

export function registerEndpoint(program: Command): void {
  const endpoint = group(program, 'endpoint', 'what endpoints serve, and the ways back');

  define(endpoint, 'status <endpoint>', 'what it serves, its rollout, its freeze', [
    'endpoint status mail',
    'endpoint status mail --json                       desired state and replicas too',
  ]).action(
    runs<object, [name: string]>(async (session, _options, name) => {
      const { endpointFacts } = await import('../endpoint-facts.ts');
      const goto3 = await session.goto3();
      const workflow = await goto3.endpoint(name).status();
      const served = await endpointFacts(goto3.store, name);
      const replicas = served?.replicas.map(
        ({ replica, generation, error }) =>
          `${replica}: ${error?.message ?? (generation === undefined ? 'does not answer' : `generation ${generation}`)}`,
      );
      const text = [
        describe(workflow, session.output.paint),
        facts([['replicas', replicas?.join('; ') || 'none is registered']], session.output.paint),
      ].join('\n');
      return { document: { workflow, served: served ?? null }, text };
    }),
  );

  withReason(
    defineRequest(endpoint, 'rollback <endpoint>', 'back to the stable version; bars what it leaves, and freezes', [
      'endpoint rollback mail --reason "false alarms since the deploy"',
      'endpoint rollback mail --by-hand --reason "Temporal is down"   moves the desired state itself',
    ]).option('--by-hand', 'break the glass: by the store alone, also while Temporal is away'),
  ).action(
    runs<{ reason: string; byHand?: boolean }, [name: string]>(async (session, { reason, byHand }, name) => {
      if (byHand) {
        const { rollBackByHand } = await import('../../break-glass.ts');
        const word = { ...session.word(reason), by: session.by };
        const done = await rollBackByHand(await session.store(), name, word);
        const text = `${name} goes back to ${short(done.to)} (generation ${done.generation}) and is frozen; goto3 endpoint unfreeze ${name} --reason "..." ends the freeze`;
        return { document: { requestId: session.requestId, ...done }, text };
      }
      const goto3 = await session.goto3();
      const answer = await goto3.endpoint(name).rollback(session.word(reason));
      return { document: { requestId: session.requestId, ...answer }, text: answer.reason };
    }),
  );

  withReason(
    defineRequest(endpoint, 'freeze <endpoint>', 'roll out nothing new until someone unfreezes it', [
      'endpoint freeze mail --reason "audit until Friday"',
    ]),
  ).action(
    runs<{ reason: string }, [name: string]>(async (session, { reason }, name) => {
      const answer = await (await session.goto3()).endpoint(name).freeze(session.word(reason));
      return { document: { requestId: session.requestId, ...answer }, text: answer.reason };
    }),
  );

  withReason(
    defineRequest(endpoint, 'unfreeze <endpoint>', 'let rollouts go on', [
      'endpoint unfreeze mail --reason "the cause was a bad label batch; dropped"',
    ]),
  ).action(
    runs<{ reason: string }, [name: string]>(async (session, { reason }, name) => {
      const answer = await (await session.goto3()).endpoint(name).unfreeze(session.word(reason));
      return { document: { requestId: session.requestId, ...answer }, text: answer.reason };
    }),
  );

  withReason(
    defineRequest(endpoint, 'shadow <endpoint>', 'let a version answer along for the record; callers never see it', [
      'endpoint shadow mail --name frozen --version 1',
      'endpoint shadow mail --name frozen --remove',
      'endpoint shadow mail --name other --version 4 --model spam-filter-large',
    ])
      .requiredOption('--name <name>', 'name of the shadow variant')
      .option('--version <n>', 'the version that answers along')
      .option('--model <model>', 'whose version (default: the model that the endpoint serves)')
      .option('--remove', 'take the shadow away'),
    'asked by hand',
  ).action(runs<ShadowOptions, [name: string]>(shadow));
}

interface ShadowOptions {
  reason: string;
  name: string;
  version?: string;
  model?: string;
  remove?: boolean;
}

async function shadow(session: Session, options: ShadowOptions, name: string) {
  const { reason, version, remove } = options;
  if ((version === undefined) === !remove)
    throw new InvalidArgument('endpoint shadow: expected either --version <n> or --remove');
  if (version !== undefined && !/^[1-9]\d{0,8}$/.test(version))
    throw new InvalidArgument(`--version ${JSON.stringify(version)}: expected a number such as 1`);
  const { modelVersion } = await import('../../models.ts');
  const goto3 = await session.goto3();
  const endpoint = goto3.endpoint(name);
  const model = remove ? undefined : (options.model ?? (await endpoint.status()).current?.modelName);
  if (!remove && model === undefined)
    throw new InvalidArgument(`the endpoint ${name} serves nothing yet: say whose version with --model <model>`);
  const digest = model === undefined ? null : (await modelVersion(goto3.store, model, Number(version))).digest;
  const answer = await endpoint.shadow({ ...session.word(reason), name: options.name, model: digest });
  return { document: { requestId: session.requestId, model: digest, ...answer }, text: answer.reason };
}

function describe(status: EndpointStatus, paint: Paint): string {
  const version = (m: { version: number; modelName: string } | null): string =>
    m ? `${m.modelName}@${m.version}` : 'nothing';
  const { current, stable, candidate, probation, queued, shadows, frozen, blocked, adopted, barred, last } = status;
  return facts(
    [
      ['endpoint', status.endpoint],
      ['serves', current ? `${version(current)} since ${clock(current.sinceMs)}` : 'nothing'],
      ['canary', candidate ? `${version(candidate)} at ${candidate.weight} %` : undefined],
      ['rollback goes to', version(stable)],
      ['probation', probation ? `version ${probation.version} since ${clock(probation.startedAtMs)}` : undefined],
      ['waiting', queued.map((q) => `version ${q.version} of ${q.loop}`).join(', ') || undefined],
      ['shadows', shadows.map((s) => `${s.name} (${short(s.model)})`).join(', ') || undefined],
      ['frozen', frozen ? paint.yellow(`by ${frozen.by} at ${clock(frozen.at)}: ${frozen.reason}`) : 'no'],
      ['cannot go on', blocked ? paint.red(`since ${clock(blocked.sinceMs)}: ${blocked.reason}`) : undefined],
      ['', status.command ?? undefined],
      ['moved by hand', adopted ? `by ${adopted.by} at ${clock(adopted.atMs)}: ${adopted.reason}` : undefined],
      ['barred', barred.length > 0 ? String(barred.length) : undefined],
      ['last', last ? `${last.outcome} at ${clock(last.atMs)}: ${last.reason}` : undefined],
      ['generation', String(status.generation)],
    ],
    paint,
  );
}
