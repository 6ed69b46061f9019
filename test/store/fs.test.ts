import { openStore } from '../../src/store/open.ts';
import { describeStore } from './conformance.ts';
import { temporaryFolder } from './samples.ts';

describeStore('fs store', async () => {
  const folder = await temporaryFolder();
  const again = () => openStore(folder.path);
  return { store: await again(), again, close: folder.remove };
});
