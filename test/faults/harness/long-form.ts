/**
 * `GOTO3_LONG_FAULTS=1 npm run test:faults`: the numbers of the issue. CI runs the same faults with smaller ones.
 */
export const isLongForm = process.env.GOTO3_LONG_FAULTS === '1';
