import type { GroupCounts } from '../../stats/bias.ts';
import type { LiveAnswer } from '../data/live-answers.ts';
import type { DataRow } from '../data/rows.ts';

/** Rows that were answered, by group, under the column that tells the groups apart. */
export function groupCounts(
  rows: readonly Pick<DataRow, 'id' | 'label' | 'slices'>[],
  answers: ReadonlyMap<string, Pick<LiveAnswer, 'label'>>,
  positive: string,
): Map<string, GroupCounts[]> {
  const groups = new Map<string, GroupCounts>();
  for (const { id, label, slices } of rows) {
    const answer = answers.get(id);
    if (!answer) continue;
    const [selected, isPositive] = [answer.label === positive, label === positive];
    for (const group of slices) {
      const count = groups.get(group) ?? { group, rows: 0, selected: 0, positives: 0, truePositives: 0 };
      groups.set(group, {
        group,
        rows: count.rows + 1,
        selected: count.selected + Number(selected),
        positives: count.positives + Number(isPositive),
        truePositives: count.truePositives + Number(selected && isPositive),
      });
    }
  }
  const features = new Map<string, GroupCounts[]>();
  for (const count of groups.values()) {
    // A value may have "=" in it, and so may a column's name; one of each is what `slice=value` means everywhere.
    const feature = count.group.slice(0, count.group.indexOf('='));
    features.set(feature, [...(features.get(feature) ?? []), count]);
  }
  return features;
}
