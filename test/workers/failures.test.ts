import assert from 'node:assert/strict';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { JobConflict, JobNotStarted } from '../../src/jobs/errors.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import { ServingError } from '../../src/serving/errors.ts';
import { StatsInputError } from '../../src/stats/errors.ts';
import { CorruptBlob, InvalidInput, NotFound, RefConflict, StoreUnavailable } from '../../src/store/errors.ts';
import { failureInterceptor } from '../../src/workers/failure-interceptor.ts';
import { quiet } from '../activities/house.ts';

const digest = `sha256:${'a'.repeat(64)}` as const;

describe('failures at the border of an activity', () => {
  /** What Temporal gets of an activity that throws. */
  const thrown = async (error: unknown): Promise<unknown> => {
    const env = new MockActivityEnvironment(
      {},
      { logger: quiet, interceptors: [() => ({ inbound: failureInterceptor })] },
    );
    return await env
      .run(() => Promise.reject(error))
      .then(
        () => assert.fail('expected a failure'),
        (failure: unknown) => failure,
      );
  };

  for (const [error, type, nonRetryable] of [
    [new InvalidInput('field x'), 'InvalidInput', true],
    [new NotFound(digest), 'NotFound', true],
    [new CorruptBlob(digest, digest), 'CorruptBlob', true],
    [new RefConflict('loops/spam/spec', 'expected no entry', undefined), 'RefConflict', true],
    [new JobConflict('job x exists'), 'JobConflict', true],
    [new StatsInputError('rows: 0'), 'InvalidInput', true],
    [new OnnxError('node x'), 'InvalidInput', true],
    [new StoreUnavailable('ENOSPC', 'write', '/store', new Error('ENOSPC')), 'StoreUnavailable', false],
    [new ServingError('InferenceCrashed', 'it ended'), 'InferenceCrashed', false],
  ] as const)
    it(`${error.constructor.name} is ${type}, ${nonRetryable ? 'for good' : 'and tried again'}`, async () => {
      const failure = await thrown(error);
      assert.ok(failure instanceof ApplicationFailure);
      assert.deepEqual([failure.type, failure.nonRetryable, failure.message], [type, nonRetryable, error.message]);
      assert.equal(failure.cause, undefined, 'the message is said once');
      assert.match(failure.stack!, /failures\.test\.ts/);
    });

  it('leaves everything else as it is: bugs are tried again, cancellations are cancellations', async () => {
    const others = [
      new TypeError('x is not a function'),
      new JobNotStarted('no answer'),
      new CancelledFailure('CANCELLED'),
      ApplicationFailure.nonRetryable('said already', 'BadData'),
      'no error at all',
    ];
    for (const error of others) assert.equal(await thrown(error), error);
  });
});
