import assert from 'node:assert/strict';
import type { Digest } from '../../../src/contracts/digest.ts';
import { mayPass } from '../../../src/serving/endpoint/desired/may-pass.ts';
import { ModelUnavailable } from '../../../src/serving/endpoint/inference/model-unavailable.ts';
import { ServingError } from '../../../src/serving/errors.ts';
import { CorruptBlob, InvalidInput, NotFound, StoreUnavailable } from '../../../src/store/errors.ts';

describe('why a model is not served', () => {
  const digest: Digest = `sha256:${'1'.repeat(64)}`;
  const because = (cause: Error) => new ModelUnavailable(digest, cause);
  const notServable = (message: string) => because(new ServingError('ModelNotServable', message));

  const passing: Record<string, Error> = {
    'a blob that is not there yet': because(new NotFound(digest)),
    'a blob that was read wrongly': because(new CorruptBlob(digest, digest)),
    'a store that is away': because(new StoreUnavailable('EIO', 'read', 'a blob', undefined)),
    'a network that is away': because(new TypeError('fetch failed')),
    'ONNX Runtime without memory': notServable('model.onnx does not load: std::bad_alloc'),
    'an arena without memory': notServable('Failed to allocate memory for requested buffer of size 4294967296'),
    'V8 without memory': notServable('the model fails on a neutral row: Array buffer allocation failed'),
    'too many open files': notServable('the model has no readable model.onnx: EMFILE'),
  };
  for (const [what, error] of Object.entries(passing)) it(`may pass: ${what}`, () => assert.ok(mayPass(error, 9)));

  const permanent: Record<string, Error> = {
    'a broken graph': notServable('model.onnx does not load: Protobuf parsing failed'),
    'a missing file': notServable('the model has no readable signature.json: ENOENT'),
    'a graph that does not fit its signature': notServable('signature.json: input "x" is not in the graph'),
    'a manifest that is none': because(new InvalidInput('blob sha256:1: expected a Model')),
  };
  for (const [what, error] of Object.entries(permanent)) it(`stays: ${what}`, () => assert.ok(!mayPass(error, 0)));

  it('a dead process may be an accident twice', () => {
    const crash = because(new ServingError('InferenceCrashed', 'it ended with SIGKILL'));
    assert.deepEqual(
      [0, 1, 2, 3].map((failures) => mayPass(crash, failures)),
      [true, true, false, false],
    );
  });
});
