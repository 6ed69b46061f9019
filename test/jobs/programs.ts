import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The programs of the conformance suite: tiny, real, and under the container contract alone, so that every runner can run
 * them. A program waits for a file rather than for a time.
 */
const scripts = {
  /** Counts its runs. */
  'count.sh': 'echo run >> "$SM_CHECKPOINT_DIR/runs"; echo done > "$SM_MODEL_DIR/model.txt"\n',
  /** Runs until it is stopped, and then saves. */
  'save-on-term.sh': `
trap 'echo saved > "$SM_CHECKPOINT_DIR/saved"; exit 0' TERM
echo run >> "$SM_CHECKPOINT_DIR/runs"
echo '{"progress": 0.1}'
while :; do sleep 0.02; done
`,
  /** One checkpoint per step, each renamed into place; hangs at the step that a hyperparameter names. */
  'steps.mjs': `
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
const file = process.env.SM_CHECKPOINT_DIR + '/step.json';
const first = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).step + 1 : 1;
for (let step = first; step <= 5; step++) {
  if (step === Number(process.env.SM_HP_HANGAT)) await new Promise(() => setInterval(() => {}, 1000));
  writeFileSync(file + '.writing', JSON.stringify({ step }));
  renameSync(file + '.writing', file);
  console.log(JSON.stringify({ progress: step / 5, step }));
}
writeFileSync(process.env.SM_MODEL_DIR + '/model.json', JSON.stringify({ resumedAt: first }));
`,
  /** Leaves half a line and half of a character for the reader to trip over, until it is told to go on. */
  'halves.mjs': `
import { existsSync, writeSync } from 'node:fs';
const party = Buffer.from('za\\u017c\\u00f3\\u0142\\u0107 \\u{1f389} end\\n');
writeSync(1, 'first\\n');
writeSync(2, 'warning\\n');
writeSync(1, party.subarray(0, party.indexOf(0xf0) + 2));
while (!existsSync(process.env.SM_CHECKPOINT_DIR + '/go')) await new Promise((r) => setTimeout(r, 10));
writeSync(1, party.subarray(party.indexOf(0xf0) + 2));
writeSync(1, 'no line feed at the end');
`,
  'progress.sh': `
echo '{"progress": 0.25, "loss": 0.9, "epoch": 1, "note": "text is not a metric"}'
echo 'not {"progress": 0.5}'
echo '{"progress": 0.75, "loss": 0.3, "epoch": 3}'
while [ ! -e "$SM_CHECKPOINT_DIR/go" ]; do sleep 0.01; done
`,
  'fail.sh': 'echo "setting up" >&2; echo "epochs: expected a number" >&2; exit 3\n',
  'failure-file.sh': 'printf "%s" "$SM_HP_TEXT" > "$SM_OUTPUT_DIR/failure"; exit 1\n',
  'hang.sh': 'while :; do sleep 0.02; done\n',
  /** Alive, talkative, and without progress. */
  'pulse.sh': 'while :; do echo \'{"progress": 0.4}\'; sleep 0.02; done\n',
  'hungry.mjs': `
const kept = [];
const grow = () => { if (kept.length < 40) kept.push(Buffer.alloc(10 * 2 ** 20, 1)); };
setInterval(grow, 5);
`,
  'forget-model.sh': 'exit 0\n',
  'dump.mjs': `
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
const env = { ...process.env };
const secretSha256 = createHash('sha256').update(env.TOKEN ?? '').digest('hex');
delete env.TOKEN;
const config = Object.fromEntries(readdirSync(env.SM_INPUT_CONFIG_DIR).map((f) => [f, JSON.parse(readFileSync(env.SM_INPUT_CONFIG_DIR + '/' + f, 'utf8'))]));
const train = readdirSync(env.SM_CHANNEL_TRAIN, { recursive: true }).sort();
const rows = readFileSync(env.SM_CHANNEL_TRAIN + '/part/rows.jsonl', 'utf8');
const dump = { env, secretSha256, config, train, rows, argv: process.argv.slice(2), cwd: process.cwd() };
writeFileSync(env.SM_OUTPUT_DATA_DIR + '/dump.json', JSON.stringify(dump));
console.log(JSON.stringify({ progress: 0.5 }));
while (!existsSync(env.SM_CHECKPOINT_DIR + '/go')) await new Promise((r) => setTimeout(r, 10));
`,
  /** Leaves a child in its group and one that has a session of its own, both holding stdout, and ends. */
  'children.sh': `
sleep 1000 & echo $! > "$SM_OUTPUT_DATA_DIR/in-group"
setsid sh -c 'echo $$ > "$SM_OUTPUT_DATA_DIR/own-session"; exec sleep 1000' &
while [ ! -s "$SM_OUTPUT_DATA_DIR/own-session" ]; do sleep 0.01; done
echo done > "$SM_MODEL_DIR/model.txt"
`,
  'flood.sh': `
yes 'nothing to see in this line of a flood' | head -c "$SM_HP_BYTES"
echo
echo '{"progress": 0.9}'
echo 'the last line'
`,
} as const;
export type ProgramName = keyof typeof scripts;

/** Writes all programs into a folder. */
export async function writePrograms(folder: string): Promise<void> {
  for (const [name, text] of Object.entries(scripts)) await writeFile(join(folder, name), text.trimStart());
}

/** argv of a program, relative to the folder of the programs. */
export const argvOf = (name: ProgramName): string[] => [name.endsWith('.mjs') ? 'node' : 'sh', `./${name}`];
