/**
 * Below 128 × 128 weights an int8 product of one row is slower than the float one: quantizing the row and scaling the sums
 * costs more than the multiplication (measured on VNNI, one thread: 0.8 times as fast at 128 × 128, 1.05 at 192 × 192; and
 * what such a matrix takes in the file is nothing).
 */
export const fewestThatPay = 16_384;
