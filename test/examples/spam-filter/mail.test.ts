import assert from 'node:assert/strict';
import fc from 'fast-check';
import iconv from 'iconv-lite';
import { type MailRow, parseMail } from '../../../examples/spam-filter/mail.ts';

const stamp = 'Received: from a by b; Thu, 22 Aug 2002 12:36:16 +0100 (IST)';
const parse = (mail: string | Uint8Array) =>
  parseMail({ source: 'test', isSpam: false, bytes: typeof mail === 'string' ? Buffer.from(mail, 'latin1') : mail });
async function rowOf(mail: string | Uint8Array): Promise<MailRow> {
  const parsed = await parse(mail);
  assert.ok(parsed.kind === 'mail', JSON.stringify(parsed));
  return parsed.row;
}

describe('parseMail', () => {
  it('makes a row of a plain mail', async () => {
    const row = await rowOf(`From x@y Thu Aug 22\n${stamp}\nSubject: Hello\n\nGood\n\n\n\nmorning\n`);
    assert.equal(row.messageId.length, 32);
    assert.deepEqual(
      { ...row, messageId: '' },
      {
        messageId: '',
        receivedAt: '2002-08-22T11:36:16.000Z',
        isSpam: false,
        subject: 'Hello',
        body: 'Good\n\nmorning',
        hasHtml: false,
        month: '2002-08',
      },
    );
  });

  it('gives the same mail the same id, another mail another', async () => {
    const [a, b, c] = [await rowOf(`${stamp}\n\na`), await rowOf(`${stamp}\n\na`), await rowOf(`${stamp}\n\nb`)];
    assert.equal(a.messageId, b.messageId);
    assert.notEqual(a.messageId, c.messageId);
  });

  const charsets: [name: string, mail: Uint8Array, subject: string, body: string][] = [
    [
      'an encoded word and quoted-printable in a declared charset',
      Buffer.from(
        `${stamp}\nSubject: =?iso-8859-1?Q?Caf=E9?=\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nna=EFve =\nline`,
      ),
      'Café',
      'naïve line',
    ],
    [
      'raw 8-bit text that declares nothing',
      Buffer.concat([Buffer.from(`${stamp}\n`), iconv.encode('Subject: £5 off\n\nonly £5 — now', 'windows-1252')]),
      '£5 off',
      'only £5 — now',
    ],
    [
      'a raw Korean subject in the charset of its body',
      Buffer.concat([
        Buffer.from(`${stamp}\nContent-Type: text/plain; charset="euc-kr"\nContent-Transfer-Encoding: 8bit\n`),
        iconv.encode('Subject: 광고 안내\n\n무료 전화', 'euc-kr'),
      ]),
      '광고 안내',
      '무료 전화',
    ],
    [
      'raw UTF-8',
      Buffer.from(`${stamp}\nContent-Type: text/plain; charset=utf-8\nSubject: Grüße\n\nschöne Grüße`),
      'Grüße',
      'schöne Grüße',
    ],
    [
      'a charset that nobody knows',
      Buffer.concat([
        Buffer.from(`${stamp}\nContent-Type: text/plain; charset=DEFAULT_CHARSET\n`),
        iconv.encode('Subject: caf\u00e9\n\nna\u00efve', 'latin1'),
      ]),
      'café',
      'naïve',
    ],
    [
      'Base64 Big5',
      Buffer.from(
        `${stamp}\nSubject: =?big5?B?${iconv.encode('免費', 'big5').toString('base64')}?=\nContent-Type: text/plain; charset=big5\nContent-Transfer-Encoding: base64\n\n${iconv.encode('打電話', 'big5').toString('base64')}`,
      ),
      '免費',
      '打電話',
    ],
  ];
  for (const [name, mail, subject, body] of charsets)
    it(`reads ${name}`, async () => {
      const row = await rowOf(mail);
      assert.deepEqual([row.subject, row.body], [subject, body]);
    });

  it('turns HTML into text and leaves out scripts, styles and images', async () => {
    const html =
      '<html><head><style>b{}</style></head><body><h1>Big Offer</h1><p>Buy&nbsp;now &amp; save</p><img src=x><script>evil()</script></body></html>';
    const row = await rowOf(`${stamp}\nContent-Type: text/html\n\n${html}`);
    assert.equal(row.body, 'Big Offer\n\nBuy now & save');
    assert.equal(row.hasHtml, true);
  });

  it('reads nested multiparts', async () => {
    const row = await rowOf(
      [
        stamp,
        'Content-Type: multipart/mixed; boundary=outer',
        '',
        'preamble',
        '--outer',
        'Content-Type: multipart/alternative; boundary=inner',
        '',
        '--inner',
        'Content-Type: text/plain',
        '',
        'plain words',
        '--inner',
        'Content-Type: text/html',
        '',
        '<b>rich words</b>',
        '--inner--',
        '--outer',
        'Content-Type: application/octet-stream; name=a.exe',
        'Content-Transfer-Encoding: base64',
        '',
        'TVqQAAMA',
        '--outer--',
      ].join('\n'),
    );
    assert.equal(row.body, 'rich words');
    assert.equal(row.hasHtml, true);
  });

  const broken: [string, string][] = [
    ['a multipart without its boundary', `${stamp}\nContent-Type: multipart/mixed; boundary=gone\n\nstill text\n`],
    ['a multipart that never ends', `${stamp}\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ncut of`],
    ['Base64 that is not', `${stamp}\nContent-Transfer-Encoding: base64\n\n%%%=\n`],
    ['HTML that never closes', `${stamp}\nContent-Type: text/html\n\n<table><tr><td>deal<a href="`],
    ['a header line that is none', `${stamp}\nnot a header\nSubject: x\n\ny`],
    ['an empty body', `${stamp}\nSubject: only this\n\n`],
    ['no body at all', `${stamp}`],
    ['HTML a thousand levels deep', `${stamp}\nContent-Type: text/html\n\n${'<div>'.repeat(1000)}deep`],
  ];
  for (const [name, mail] of broken) it(`makes a row of ${name}`, async () => void (await rowOf(mail)));

  it('counts what has no date or nests too deep as unreadable', async () => {
    assert.deepEqual(await parse('Subject: x\n\ny'), {
      kind: 'unreadable',
      source: 'test',
      reason: 'undated',
      detail: 'no plausible Received or Date',
    });
    const nested = Array.from(
      { length: 300 },
      (_, i) => `${i === 0 ? '' : `--b${i - 1}\n`}Content-Type: multipart/mixed; boundary=b${i}\n\n`,
    ).join('');
    const parsed = await parse(`${stamp}\n${nested}`);
    assert.ok(parsed.kind === 'unreadable' && parsed.reason === 'malformed', parsed.kind);
  });

  it('never throws, whatever the bytes are', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), async (bytes, dated) => {
        const parsed = await parse(dated ? Buffer.concat([Buffer.from(`${stamp}\n`), bytes]) : bytes);
        if (parsed.kind === 'mail') assert.ok(Buffer.from(parsed.row.body).toString('utf8') === parsed.row.body);
      }),
    ));
});
