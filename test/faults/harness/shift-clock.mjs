// Preloaded (NODE_OPTIONS) into the processes of a stack under test: the wall clock jumps by as many milliseconds as the
// file `<GOTO3_HOME>/clock` says, for all Node processes of the stack at once, as after a wrong NTP answer or a resumed
// virtual machine. Monotonic time (performance.now, timers) goes on undisturbed, as it does on a real machine.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const home = process.env.GOTO3_HOME;
if (home) shift(join(home, 'clock'));

function shift(file) {
  const RealDate = Date;
  const { now } = RealDate;
  const read = () => {
    try {
      return Number(readFileSync(file, 'utf8'));
    } catch {
      return 0;
    }
  };
  let offsetMs = read();
  setInterval(() => {
    offsetMs = read();
  }, 100).unref();
  const shifted = () => now() + offsetMs;
  class ShiftedDate extends RealDate {
    constructor(...parts) {
      if (parts.length === 0) super(shifted());
      else super(...parts);
    }
    static now = shifted;
    /** Dates of files come from the engine itself. */
    static [Symbol.hasInstance](value) {
      return value instanceof RealDate;
    }
  }
  globalThis.Date = ShiftedDate;
}
