import { parentPort } from 'node:worker_threads';
import { computeMetrics, sliceMetrics } from '../../stats/metrics.ts';
import { comparePaired } from '../../stats/paired.ts';
import { decideVerdict } from '../../stats/verdict.ts';
import type { Answered, Asked, Questions, Subject } from './messages.ts';

/** Bootstraps take half a second, and the loop that beats must never stand still for them. */
parentPort!.on('message', (asked: Asked) => {
  parentPort!.postMessage(answer(asked));
});

function answer(asked: Asked): Answered {
  try {
    return { id: asked.id, answer: count(asked) };
  } catch (error) {
    const { message, type } = error as Error & { type?: string };
    return { id: asked.id, error: { message, ...(type !== undefined && { type }) } };
  }
}

function count({ subject, ask }: Asked): Questions[Subject]['answer'] {
  switch (subject) {
    case 'measure': {
      const { outcomes, meaning, own } = ask;
      return {
        metrics: computeMetrics(outcomes, meaning, own),
        slices: sliceMetrics(outcomes, meaning, own),
      };
    }
    case 'judge':
      return decideVerdict(ask);
    case 'compare':
      return comparePaired(ask.question, ask.candidate, ask.other, ask.meaning);
  }
}
