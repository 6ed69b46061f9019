/**
 * Marks that say where a mail came from, not what it says: list tags and footers, list adverts, the collectors' own
 * addresses. In this corpus they separate good mail from spam for the wrong reason (most good mail was read on lists),
 * so a model that may see them looks better than it is.
 */

const replyPrefix = /^(?:\s*(?:re|fwd?|aw|sv)\s*(?:\[\d+\])?\s*:\s*)+/i;
const listTag = /^\s*\[[A-Za-z][^\][]{0,39}\]\s*/;

/** `Re: [ILUG] Re: disk` → `Re: disk`; the reply mark stays, it is content. */
export function stripSubjectMarks(subject: string): string {
  let isReply = false;
  let rest = subject.trim();
  for (;;) {
    const shorter = rest.replace(replyPrefix, '');
    if (shorter !== rest) isReply = true;
    const untagged = shorter.replace(listTag, '');
    if (untagged === rest) break;
    rest = untagged;
  }
  return `${isReply ? 'Re: ' : ''}${rest.trim()}`;
}

/** Adverts that SourceForge and Yahoo appended: from the first pattern up to the line that matches the second. */
const adverts: readonly (readonly [from: RegExp, upTo: RegExp])[] = [
  [/^This (?:sf\.net|SF\.Net) (?:email|emial) is sponsored by/i, /https?:\/\/|^_{20,}/],
  [/^-{10,} Yahoo! Groups Sponsor -+/i, /^-{20,}[~_-]*>?/],
  [/^To unsubscribe from this group, send an email to:/i, /^Your use of Yahoo! Groups/i],
];
const advertLines = 14;

const footerLines: readonly RegExp[] = [
  /^_{20,}$/,
  /^-{40,}$/,
  /^--DeathToSpam/i,
  /\b(?:mailing list|mailinglist)\b.{0,60}$/i,
  /\/(?:mailman\/)?listinfo\//i,
  /^(?:[\w.-]+@lists\.sourceforge\.net|exmh-(?:users|workers)@\S+)$/i,
  /^Irish Linux Users' Group/i,
  /^List maintainer:/i,
  /^Your use of Yahoo! Groups/i,
  /^To unsubscribe, e-?mail:/i,
];
/** A line of prose may mention a mailing list; a footer line is short. */
const footerLineLength = 120;

/** Addresses of the people who collected the corpus, and the domain that replaced theirs. */
const collector =
  /[\w.+-]*@?(?:[\w-]+\.)*(?:spamassassin\.taint\.org|taint\.org|jmason\.org|netnoteinc\.com|example\.com)\b/gi;

/** The body without list footers, list adverts and the collectors' addresses. Quoted footers go as well. */
export function stripBodyMarks(body: string): string {
  const kept: string[] = [];
  const lines = body.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const bare = lines[i]!.replace(/^[\s>|]+/, '').trimEnd();
    const advert = adverts.find(([from]) => from.test(bare));
    if (advert) {
      i = advertEnd(lines, i, advert[1]);
      continue;
    }
    if (bare.length <= footerLineLength && footerLines.some((footer) => footer.test(bare))) continue;
    kept.push(lines[i]!);
  }
  return kept.join('\n').replace(collector, 'recipient');
}

function advertEnd(lines: readonly string[], start: number, upTo: RegExp): number {
  for (let i = start + 1; i < Math.min(lines.length, start + advertLines); i++)
    if (upTo.test(lines[i]!.replace(/^[\s>|]+/, ''))) return i;
  return start;
}
