import type { IncomingMessage } from 'node:http';
import { inferenceHeaders, type Variant } from '../../contracts/endpoint.ts';
import type { Prediction } from '../../contracts/model.ts';
import { fromErrorMessage, ServingError, servingErrors, toErrorMessage } from '../errors.ts';
import type { InputRow } from '../features/rows.ts';
import type { CaptureBuffer } from './capture-buffer.ts';
import { readBody } from './http/body.ts';
import { ByteBudget } from './http/byte-budget.ts';
import type { Answer, OnGone } from './http/front.ts';
import {
  isBackground,
  readAnswerFormat,
  readBodyFormat,
  readInferenceId,
  readTargetVariant,
} from './http/invocation.ts';
import { invalid, problemOf, tryLater } from './http/problem.ts';
import { csvAnswers, decodeRows } from './http/rows.ts';
import type { InferencePool } from './inference/pool.ts';
import type { EndpointMetrics } from './metrics.ts';
import { chooseVariant, type ServingTable } from './routing.ts';

export interface InvocationLimits {
  maxBodyBytes: number;
  /** All bodies that are being read or answered; shadows' copies have as much again. */
  maxBytesInFlight: number;
  maxRowsPerRequest: number;
  /** From the parsed request to its answer; shadows have as long. */
  answerTimeoutMs: number;
}

interface Invocation {
  inferenceId: string;
  rows: InputRow[];
  answerFormat: 'json' | 'csv';
  bodyBytes: number;
  background: boolean;
  /** As it was when the request came; a swap meanwhile does not concern it. */
  table: ServingTable;
}

type Outcome = { predictions: Prediction[] } | { error: ServingError };

/** `POST /invocations`: decode, choose the variant, ask its model, leave evidence, then let the shadows answer too. */
export class Invoker {
  private readonly limits: InvocationLimits;
  private readonly table: () => ServingTable;
  private readonly pool: Pick<InferencePool, 'queueOf'>;
  private readonly captures: Pick<CaptureBuffer, 'add'>;
  private readonly metrics: EndpointMetrics;
  private readonly bodies: ByteBudget;
  private readonly shadowBodies: ByteBudget;

  constructor(
    limits: InvocationLimits,
    table: () => ServingTable,
    pool: Pick<InferencePool, 'queueOf'>,
    captures: Pick<CaptureBuffer, 'add'>,
    metrics: EndpointMetrics,
  ) {
    this.limits = limits;
    this.table = table;
    this.pool = pool;
    this.captures = captures;
    this.metrics = metrics;
    this.bodies = new ByteBudget(limits.maxBytesInFlight);
    this.shadowBodies = new ByteBudget(limits.maxBytesInFlight);
  }

  async answer(request: IncomingMessage, onGone: OnGone): Promise<Answer> {
    const { headers } = request;
    const format = readBodyFormat(headers);
    const answerFormat = readAnswerFormat(headers);
    const inferenceId = readInferenceId(headers);
    const body = await readBody(request, this.limits.maxBodyBytes, this.bodies);
    try {
      const rows = decodeRows(body, format, this.limits.maxRowsPerRequest);
      const background = isBackground(headers);
      const bodyBytes = body.length;
      const invocation = { inferenceId, rows, answerFormat, bodyBytes, background, table: this.table() };
      return await this.invoke(invocation, readTargetVariant(headers), onGone);
    } finally {
      this.bodies.give(body.length);
    }
  }

  private async invoke(invocation: Invocation, target: string | undefined, onGone: OnGone): Promise<Answer> {
    const { inferenceId, table } = invocation;
    const variant = target === undefined ? chooseVariant(table, inferenceId) : findVariant(table, target);
    if (!variant)
      throw tryLater('NotReady', 'the endpoint serves no model yet', { [inferenceHeaders.inferenceId]: inferenceId });
    const headers = {
      [inferenceHeaders.inferenceId]: inferenceId,
      [inferenceHeaders.invokedVariant]: variant.name,
    };
    const outcome = await this.ask(invocation, variant, onGone);
    // The answer is on its way when the next turn of the event loop begins.
    if (table.shadows.length > 0) setImmediate(() => this.mirror(invocation));
    if ('error' in outcome) throw problemOf(outcome.error, headers);
    const { predictions } = outcome;
    return invocation.answerFormat === 'csv'
      ? { status: 200, headers: { 'content-type': 'text/csv', ...headers }, body: csvAnswers(predictions) }
      : {
          status: 200,
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify({ predictions }),
        };
  }

  private mirror(invocation: Invocation): void {
    for (const shadow of invocation.table.shadows) void this.ask(invocation, shadow);
  }

  /** Asks one variant and leaves evidence of what it said. Never rejects. */
  private async ask(invocation: Invocation, variant: Variant, onGone?: OnGone): Promise<Outcome> {
    const { rows, bodyBytes } = invocation;
    const { shadow, model, name } = variant;
    const startedAt = performance.now();
    const held = shadow && this.shadowBodies.take(bodyBytes);
    let outcome: Outcome;
    try {
      const queue = this.pool.queueOf(model);
      if (!queue || (shadow && !held)) throw new ServingError(servingErrors.overloaded, 'no room for another request');
      const pending = queue.ask({ rows, timeoutMs: this.limits.answerTimeoutMs, shadow });
      onGone?.(pending.cancel);
      outcome = { predictions: await pending.answer };
    } catch (error) {
      outcome = { error: error instanceof ServingError ? error : fromErrorMessage(toErrorMessage(error)) };
    } finally {
      if (held) this.shadowBodies.give(bodyBytes);
    }
    const latencyMs = performance.now() - startedAt;
    if ('predictions' in outcome) {
      this.metrics.answered(name, model, shadow, latencyMs);
    } else if (outcome.error.type === servingErrors.cancelled) {
      return outcome;
    } else if (shadow && outcome.error.type === servingErrors.overloaded) {
      // A copy that never ran says nothing about the model.
      this.metrics.shadowDropped(name, model);
      return outcome;
    } else {
      this.metrics.failed(name, model, outcome.error.type);
    }
    this.record(invocation, variant, outcome, latencyMs);
    return outcome;
  }

  private record(invocation: Invocation, variant: Variant, outcome: Outcome, latencyMs: number): void {
    const { inferenceId, rows, background, table } = invocation;
    const common = {
      timeMs: Date.now(),
      generation: table.generation,
      variant: variant.name,
      model: variant.model,
      shadow: variant.shadow,
      background,
      latencyMs: Math.round(latencyMs * 1_000) / 1_000,
    };
    for (const index of rows.keys()) {
      this.captures.add({
        // Labels join by row id: rows that share a request are told apart by their place.
        inferenceId: rows.length === 1 ? inferenceId : `${inferenceId}#${index}`,
        ...common,
        ...('predictions' in outcome
          ? { answer: outcome.predictions[index]! }
          : { answer: null, error: outcome.error.type }),
      });
    }
  }
}

/** A shadow is never shown to callers, so it cannot be asked for. */
function findVariant(table: ServingTable, name: string): Variant {
  const variant = table.variants.find((candidate) => candidate.name === name);
  if (variant) return variant;
  const names = table.variants.map((candidate) => candidate.name).join(', ') || 'none';
  throw invalid(`${inferenceHeaders.targetVariant}: expected one of: ${names}`);
}
