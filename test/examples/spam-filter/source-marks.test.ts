import assert from 'node:assert/strict';
import { stripBodyMarks, stripSubjectMarks } from '../../../examples/spam-filter/source-marks.ts';

describe('source marks', () => {
  for (const [subject, expected] of [
    ['[ILUG] disk full', 'disk full'],
    ['Re: [ILUG] Re: disk full', 'Re: disk full'],
    ['RE[2]: [Razor-users]  [x] y', 'Re: y'],
    ['[2] apples', '[2] apples'],
    ['Fwd: news', 'Re: news'],
    ['reply needed', 'reply needed'],
    ['', ''],
  ] as const)
    it(`makes "${expected}" of "${subject}"`, () => assert.equal(stripSubjectMarks(subject), expected));

  it('drops list footers, quoted ones too, and keeps the text', () => {
    const body = [
      'I said on the mailing list that it works, and it does, as I have told all of you again and again and again, and will.',
      "> Irish Linux Users' Group: ilug@linux.ie",
      '> http://www.linux.ie/mailman/listinfo/ilug for (un)subscription information.',
      '_______________________________________________',
      'Razor-users mailing list',
      'Razor-users@lists.sourceforge.net',
      'https://lists.sourceforge.net/lists/listinfo/razor-users',
      'end',
    ];
    assert.equal(stripBodyMarks(body.join('\n')), `${body[0]}\nend`);
  });

  it('drops list adverts up to their end, and no more when the end is missing', () => {
    assert.equal(
      stripBodyMarks(
        'a\nThis sf.net email is sponsored by:ThinkGeek\nWelcome to geek heaven.\nhttp://thinkgeek.com/sf\nb',
      ),
      'a\nb',
    );
    assert.equal(stripBodyMarks('This sf.net email is sponsored by us\nreal text'), 'real text');
  });

  it("hides the collectors' own addresses", () =>
    assert.equal(stripBodyMarks('to zzzz@spamassassin.taint.org, jm@jmason.org'), 'to recipient, recipient'));
});
