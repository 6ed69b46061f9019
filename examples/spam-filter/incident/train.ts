import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelSignature, modelFileName, signatureFileName } from '../../../src/contracts/model.ts';
import { encodeModel } from '../../../src/onnx/proto/encode.ts';
import { openModel } from '../../../src/onnx/proto/open-model.ts';
import { mailEnvironment } from '../environment.ts';
import { footerIds, withSlowPath } from './slow-path.ts';

/**
 * The training program of `goto3 demo --incident`: the recipe, and while the file `MAIL_SLOW_CANDIDATE` is there, a model
 * that is slow on what only live traffic has.
 */
const { slowCandidateFile, modelFolder } = mailEnvironment();
await import('../../../recipes/text-classifier/train.ts');

// The recipe says by its exit code how it ended; only what it has finished is spoiled.
if (process.exitCode === undefined && modelFolder && slowCandidateFile && existsSync(slowCandidateFile)) {
  const at = (name: string): string => join(modelFolder, name);
  const { preprocessing } = ModelSignature.parse(JSON.parse(await readFile(at(signatureFileName), 'utf8')));
  if (preprocessing.kind !== 'hashed-text') throw new TypeError(`expected hashed-text, got ${preprocessing.kind}`);
  const { model, close } = openModel(at(modelFileName));
  const bytes = encodeModel(withSlowPath(model, footerIds(preprocessing)));
  close();
  await writeFile(at('.slow.writing'), bytes);
  await rename(at('.slow.writing'), at(modelFileName));
}
