import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { line } from '../../e2e/train.ts';
import { type Sickness, sickModel } from '../../serving/sick-models.ts';

/** Trains like the end-to-end test's; what the file `sickness` of its working folder names, its model has. */
if (existsSync('sickness')) {
  const how = readFileSync('sickness', 'utf8') as Sickness;
  writeFileSync(`${process.env.SM_MODEL_DIR}/model.onnx`, sickModel(how, line));
}
