import assert from 'node:assert/strict';
import { receivedAt } from '../../../examples/spam-filter/received-at.ts';

const at = (...headers: [key: string, value: string][]) => {
  const time = receivedAt(headers.map(([key, value]) => ({ key, value })));
  return time === undefined ? undefined : new Date(time).toISOString();
};

describe('receivedAt', () => {
  it('takes the topmost Received, which is our own server', () =>
    assert.equal(
      at(
        ['received', 'from b by us (8.11.6/8.11.6); Thu, 22 Aug 2002 12:36:16 +0100 (IST)'],
        ['received', 'from a by b; Wed, 21 Aug 2002 01:00:00 +0000'],
        ['date', 'Mon, 1 Jul 2002 00:00:00 +0000'],
      ),
      '2002-08-22T11:36:16.000Z',
    ));

  it('skips stamps that cannot be true', () =>
    assert.equal(
      at(
        ['received', 'from b by us; nonsense'],
        ['received', 'x; Tue, 1 Jan 1980 00:00:00 +0000'],
        ['date', 'Fri, 04 Oct 2002 10:00:00 -0400'],
      ),
      '2002-10-04T14:00:00.000Z',
    ));

  it('is undefined without a plausible date', () => {
    assert.equal(at(), undefined);
    assert.equal(at(['date', 'Sat, 1 Jan 2050 00:00:00 +0000']), undefined);
  });
});
