import { MockActivityEnvironment } from '@temporalio/testing';
import { quiet } from './house.ts';
import { quantizerOf, type SearchCase } from './quantize-search-house.ts';

/** A worker that does one activity; its test kills it in the middle. */
process.once('message', (input: SearchCase) => {
  void (async () => {
    const { quantizeModel } = await quantizerOf(input);
    const { plan, model } = input;
    await new MockActivityEnvironment({}, { logger: quiet }).run(quantizeModel, { plan, model });
    process.exit(0);
  })();
});
