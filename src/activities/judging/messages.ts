import type { MetricValue, RowOutcome } from '../../contracts/manifests.ts';
import type { Verdict } from '../../contracts/verdict.ts';
import type { OwnMetrics } from '../../stats/metrics.ts';
import type { PairedComparison, PairedQuestion } from '../../stats/paired.ts';
import type { RowMeaning } from '../../stats/scored-rows.ts';
import type { VerdictInput } from '../../stats/verdict.ts';

/** What is asked of the thread that counts, and what it answers. */
export interface Questions {
  measure: {
    ask: { outcomes: readonly RowOutcome[]; meaning: RowMeaning; own: OwnMetrics };
    answer: { metrics: Record<string, MetricValue>; slices: Record<string, Record<string, MetricValue>> };
  };
  judge: { ask: VerdictInput; answer: Verdict };
  compare: {
    ask: {
      question: PairedQuestion;
      candidate: readonly RowOutcome[];
      other: readonly RowOutcome[];
      meaning: RowMeaning;
    };
    answer: PairedComparison;
  };
}
export type Subject = keyof Questions;

export type Asked = { [S in Subject]: { id: number; subject: S; ask: Questions[S]['ask'] } }[Subject];
export type Answered = { id: number } & (
  | { answer: Questions[Subject]['answer'] }
  | { error: { message: string; type?: string } }
);
