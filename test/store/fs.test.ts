import { openStore } from '../../src/store/open.ts';
import { describeStore } from './conformance.ts';
import { temporaryFolder } from './samples.ts';

for (const durability of ['fast', 'fsync'] as const)
  describeStore(`fs store (${durability})`, async () => {
    const folder = await temporaryFolder();
    const again = () => openStore(folder.path, { durability });
    return { store: await again(), again, close: folder.remove };
  });
