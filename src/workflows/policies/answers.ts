import type { Answer } from '../../contracts/messages.ts';

/** Update ids die with the run (DESIGN §2), so entities keep the last request ids with their answers in their state. */
export const rememberedAnswers = 1_000;
/** Characters of all of them together: a state above 2 MB would not get through a continue-as-new. */
export const rememberedCharacters = 400_000;

export type Answers = [requestId: string, answer: Answer][];

export const findAnswer = (answers: Answers, requestId: string): Answer | undefined =>
  answers.find(([id]) => id === requestId)?.[1];

export function rememberAnswer(answers: Answers, requestId: string, answer: Answer): Answer {
  answers.push([requestId, answer]);
  let characters = 0;
  let kept = 0;
  while (kept < Math.min(answers.length, rememberedAnswers)) {
    characters += sizeOf(answers[answers.length - 1 - kept]!);
    if (characters > rememberedCharacters) break;
    kept += 1;
  }
  answers.splice(0, answers.length - Math.max(1, kept));
  return answer;
}

const sizeOf = ([id, answer]: Answers[number]): number => id.length + answer.id.length + answer.reason.length + 50;
