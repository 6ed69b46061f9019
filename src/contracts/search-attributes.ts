import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/** One list: workflows set them, the dev server and the docs register them, `goto3 status` queries them. Never secrets. */
export const searchAttributes = {
  model: defineSearchAttributeKey('Goto3Model', SearchAttributeType.KEYWORD),
  stage: defineSearchAttributeKey('Goto3Stage', SearchAttributeType.KEYWORD),
  verdict: defineSearchAttributeKey('Goto3Verdict', SearchAttributeType.KEYWORD),
  endpoint: defineSearchAttributeKey('Goto3Endpoint', SearchAttributeType.KEYWORD),
  /** Set while a person has to act; its value says what kind of act. */
  attention: defineSearchAttributeKey('Goto3Attention', SearchAttributeType.KEYWORD),
} as const;
