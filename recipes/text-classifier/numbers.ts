import { z } from 'zod';

/** SageMaker passes every value as text; a person running the program alone may write numbers. */
export const number = z.union([
  z.number(),
  z
    .string()
    .regex(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i, 'expected a number')
    .transform(Number),
]);

export const integer = (min: number, max: number, otherwise: number) =>
  number.pipe(z.number().int().min(min).max(max)).default(otherwise);

export const real = (min: number, max: number, otherwise: number) =>
  number.pipe(z.number().min(min).max(max)).default(otherwise);
