import { nodeFs } from '../../../src/store/fs/fs-ops.ts';
import { openFsStore } from '../../../src/store/fs/store.ts';
import { dyingFs, isChanging } from './dying-fs.ts';
import { writes } from './dying-writes.ts';

/** `<folder> <put|compareAndSet> <call>`: kills itself with SIGKILL in place of that changing file-system call of the write. */
const [folder = '', write, call = ''] = process.argv.slice(2);
const dying = dyingFs(
  nodeFs,
  () => {
    process.kill(process.pid, 'SIGKILL');
    // Nothing after the signal may run.
    return new Promise<never>(() => {});
  },
  isChanging,
);
const store = await openFsStore(folder, { ops: dying.ops });
const act = write === 'put' ? writes.put : writes.compareAndSet;
dying.dieAt(Number(call));
await act(store);
