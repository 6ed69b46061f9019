import type { Command } from 'commander';
import { formatSize } from '../../../contracts/units.ts';
import { InvalidArgument } from '../../errors.ts';
import { define, group, runs } from '../command.ts';
import { exitCodes } from '../errors.ts';
import { facts, sections, table } from '../output.ts';
import { clock, short } from '../words.ts';
import { registerModelsBacktest } from './models-backtest.ts';
import { registerModelsCompare } from './models-compare.ts';
import { registerModelsPromote } from './models-promote.ts';
import { registerModelsPrune } from './models-prune.ts';
import { registerModelSigning } from './models-signing.ts';

export function registerModels(program: Command): void {
  const models = group(program, 'models', 'approved versions, what served when, and where it came from');

  define(models, 'list', 'every model with its versions, champion and anchor', [
    'models list',
    'models list --json',
  ]).action(
    runs(async (session) => {
      const { listModels } = await import('../model-facts.ts');
      const document = { models: await listModels(await session.store()) };
      const text =
        table(
          ['model', 'versions', 'champion', 'anchor', 'newest approved'],
          document.models.map(({ model, versions, champion, anchor, approvedAt }) => [
            model,
            String(versions),
            champion === null ? '–' : String(champion),
            anchor === null ? '–' : String(anchor),
            clock(approvedAt),
          ]),
          session.output,
        ) || 'no version was approved yet';
      return { document, text };
    }),
  );

  define(models, 'show <model> [version]', 'its versions, or everything about one', [
    'models show spam-filter',
    'models show spam-filter 3 --json',
  ]).action(
    runs<object, [model: string, version: string | undefined]>(async (session, _options, model, version) => {
      const { modelVersions } = await import('../../models.ts');
      const { versionFacts } = await import('../model-facts.ts');
      const store = await session.store();
      if (version === undefined) {
        const versions = [];
        for await (const known of modelVersions(store, model)) versions.push(known);
        const text =
          table(
            ['version', 'digest', 'approved by', 'approved', 'reason'],
            versions.map((v) => [String(v.version), short(v.digest), v.approvedBy, clock(v.approvedAt), v.reason]),
            session.output,
          ) || `the model ${model} has no approved version`;
        return { document: { model, versions }, text };
      }
      const document = await versionFacts(store, model, positiveInteger(version));
      const { manifest, evaluation } = document;
      const { paint } = session.output;
      const text = sections(
        [
          [
            '',
            facts(
              [
                ['model', `${model}@${document.version}`],
                ['digest', document.digest],
                ['approved', `${clock(document.approvedAt)} by ${document.approvedBy}: ${document.reason}`],
                ['from', `cycle ${manifest.loop}/${manifest.cycle}`],
                ['precision', `${manifest.precision}, ${formatSize(manifest.sizeBytes)}`],
                ['serves', document.champion ? 'champion' : undefined],
                ['dataset', manifest.dataset],
                ['made from', manifest.run],
              ],
              paint,
            ),
          ],
          [
            'Metrics on the hold-out',
            evaluation
              ? table(
                  ['metric', 'value', '95 % interval'],
                  Object.entries(evaluation).map(([name, { value, lower, upper }]) => [
                    name,
                    value === null ? 'not defined' : value.toFixed(4),
                    value === null ? '' : `[${lower?.toFixed(4) ?? '–'}, ${upper?.toFixed(4) ?? '–'}]`,
                  ]),
                  session.output,
                )
              : '',
          ],
        ],
        paint,
      );
      return { document, text };
    }),
  );

  define(models, 'lineage <model>', 'all that it was made from, nearest first', [
    'models lineage spam-filter@3',
    'models lineage sha256:5f1c…                       any manifest: a verdict, a deployment, a dataset',
  ]).action(
    runs<object, [what: string]>(async (session, _options, what) => {
      const { resolveModel } = await import('../../models.ts');
      const { lineage } = await import('../../../store/lineage.ts');
      const { lineageLines } = await import('../lineage-lines.ts');
      const store = await session.store();
      const start = await resolveModel(store, what);
      const nodes = [];
      for await (const node of lineage(store, start)) nodes.push(node);
      const readable = nodes[0] !== undefined && 'parents' in nodes[0];
      return {
        document: { start, nodes },
        text: lineageLines(nodes, session.output.paint),
        exitCode: readable ? exitCodes.ok : exitCodes.failed,
      };
    }),
  );

  define(models, 'at <model> <time>', 'what was the champion at a time', [
    'models at spam-filter 2026-07-01T12:00:00Z',
    'models at spam-filter 2026-07-01',
  ]).action(
    runs<object, [model: string, time: string]>(async (session, _options, model, time) => {
      const { championAt } = await import('../../models.ts');
      const at = new Date(time);
      if (!/^\d{4}-\d{2}-\d{2}/.test(time) || Number.isNaN(at.getTime()))
        throw new InvalidArgument(
          `time ${JSON.stringify(time)}: expected an ISO time such as 2026-07-01T12:00:00Z or 2026-07-01`,
        );
      const found = await championAt(await session.store(), model, at);
      const document = { model, at: at.toISOString(), champion: found ?? null };
      if (!found) return { document, text: `nothing of the model ${model} was champion at ${clock(at)}` };
      const { ref, version } = found;
      const text = facts(
        [
          ['champion', `${model}${version === undefined ? '' : `@${version}`}`],
          ['digest', ref.digest],
          ['since', `${clock(ref.time)}, by ${ref.by}: ${ref.reason}`],
        ],
        session.output.paint,
      );
      return { document, text };
    }),
  );

  registerModelsBacktest(models);
  registerModelsCompare(models);
  registerModelsPrune(models);
  registerModelsPromote(models);
  registerModelSigning(models);
}

function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new InvalidArgument(`version ${JSON.stringify(text)}: expected a number such as 3`);
  return Number(text);
}
