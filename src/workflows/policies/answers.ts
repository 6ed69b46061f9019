import type { Answer } from '../../contracts/messages.ts';

/** Update ids die with the run (DESIGN §2), so entities keep the last request ids with their answers in their state. */
export const rememberedAnswers = 1_000;

export type Answers = [requestId: string, answer: Answer][];

export const findAnswer = (answers: Answers, requestId: string): Answer | undefined =>
  answers.find(([id]) => id === requestId)?.[1];

export function rememberAnswer(answers: Answers, requestId: string, answer: Answer): Answer {
  answers.push([requestId, answer]);
  if (answers.length > rememberedAnswers) answers.splice(0, answers.length - rememberedAnswers);
  return answer;
}
