import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rowsSince } from '../../examples/spam-filter/feed-rows.ts';
import { asLabelled, readSwappedLabels, writeSwappedLabels } from '../../examples/spam-filter/poison.ts';
import { typedLine } from '../../src/client/cli/demo/operator.ts';
import { dropLine, inShort, poisonProblem, poisonScript } from '../../src/client/cli/demo/poison.ts';
import { createProgram } from '../../src/client/cli/program.ts';
import { temporaryFolder } from '../store/samples.ts';
import { mail } from './weeks.ts';

describe('Poison in the demo', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeEach(async () => {
    folder = await temporaryFolder();
  });
  afterEach(() => folder.remove());

  const days = ['2002-08-01', '2002-08-02', '2002-08-03'].map((day) => `${day}T10:00:00.000Z`);
  const mails = days.map((day, i) => mail(`${i}`.padStart(32, '0'), i === 0, day));

  it('swaps the labels of the mails between two times, and of no others', async () => {
    const file = join(folder.path, 'poison.json');
    assert.equal(await readSwappedLabels(file), undefined);
    assert.equal(asLabelled(mails, undefined), mails);
    await writeSwappedLabels(file, { after: days[0]!, until: days[1]! });
    const labelled = asLabelled(mails, await readSwappedLabels(file));
    assert.deepEqual(
      rowsSince(labelled, '', new Date('2003-01-01T00:00:00.000Z')).rows.map(({ isSpam }) => isSpam),
      [true, true, false],
    );
    await writeFile(file, '{"after": "yesterday"}');
    await assert.rejects(readSwappedLabels(file), /poison file .*poison\.json: expected \{"after": "<ISO time>"/);
  });

  it('begins with its cycle, and says how many labels it swapped', async () => {
    const notes: string[] = [];
    const home = { poisonFile: join(folder.path, 'poison.json') } as Parameters<typeof poisonScript>[1]['home'];
    await mkdir(folder.path, { recursive: true });
    const { poisoning, script } = poisonScript(3, { home, mails, tell: (line) => void notes.push(line) });
    const window = { after: days[0]!, until: days[2]! };
    await script.beforeLabels!({ cycle: 2, ...window });
    assert.equal(await readSwappedLabels(home.poisonFile), undefined);
    assert.match(poisonProblem(poisoning) ?? '', /cycle 3 never began/);
    await script.beforeLabels!({ cycle: 3, ...window });
    assert.deepEqual(await readSwappedLabels(home.poisonFile), window);
    assert.deepEqual(notes, ['Poison: 2 labels are swapped before cycle 3 sees them.']);
    assert.match(poisonProblem(poisoning) ?? '', /2 swapped labels went into cycle 3, and nothing held them back/);
    assert.equal(poisonProblem({ ...poisoning, heldBack: 'because', typed: 'goto3' }), undefined);
  });

  it('shows the line that an operator types, and goto3 knows it', () => {
    const argv = dropLine('spam-filter', 5);
    assert.equal(
      typedLine(argv),
      'goto3 cycle drop-data spam-filter/5 --reason "the labeller had the classes swapped"',
    );
    const cycle = createProgram().commands.find((command) => command.name() === argv[0]);
    const drop = cycle?.commands.find((command) => command.name() === argv[1]);
    assert.deepEqual(drop?.parseOptions([...argv.slice(2)]).unknown, []);
  });

  it('says the first finding, and how many more there are', () => {
    assert.equal(inShort('one'), 'one');
    assert.equal(inShort('one; two; three'), 'one (and 2 more findings)');
  });
});
