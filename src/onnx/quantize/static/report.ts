import type { CalibrationMethod } from '../calibrate/ranges.ts';
import type { QuantizedType } from '../scale.ts';

/** What became int8 and what did not, and why: plain data, for verdicts and for people. */
export interface StaticReport {
  readonly options: {
    readonly perChannel: boolean;
    readonly reduceRange: boolean;
    readonly activationType: QuantizedType;
    readonly calibration: CalibrationMethod;
  };
  /** False: nothing to do, and the model is the one that came in. */
  readonly changed: boolean;
  /** Every node that could run on 8 bits, in the order of the prepared graph. */
  readonly nodes: readonly StaticNodeOutcome[];
  readonly weights: readonly StaticWeightOutcome[];
  readonly activations: readonly ActivationOutcome[];
  /** Rows of the calibration data, along the first axis of the first input. */
  readonly calibrationRows: number;
  /** All initializers of the main graph. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

export type StaticNodeOutcome = {
  readonly node: string;
  readonly opType: string;
} /** `int8`: integer weights; `follows`: integers without weights; `merged`: its work is done by saturation before it. */ & (
  | { readonly outcome: 'int8' | 'follows' | 'merged' }
  | { readonly outcome: 'float'; readonly reason: string }
);

export interface StaticWeightOutcome {
  readonly weight: string;
  readonly quantized: string;
  readonly dims: readonly number[];
  /** Axis of the channels, null for one scale for all. */
  readonly axis: number | null;
  /** Signal to quantization noise in dB; null when nothing was lost. */
  readonly sqnrDb: number | null;
  /** Channels whose scale was raised so that their bias fits 32 bits. */
  readonly scalesRaisedForBias: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** A scale that was calibrated: of this value and of those that only move its numbers. */
export interface ActivationOutcome {
  readonly value: string;
  readonly min: number;
  readonly max: number;
  readonly scale: number;
  readonly zeroPoint: number;
}
