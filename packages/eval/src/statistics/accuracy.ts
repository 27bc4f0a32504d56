import { mcnemar } from './mcnemar.js';
import { bootstrapInterval, type Interval, wilsonInterval } from './resample.js';

/** Whether one item was answered rightly. */
export interface Judged {
  readonly id: string;
  readonly subject?: string | undefined;
  readonly correct: boolean;
}

export interface Accuracy {
  readonly items: number;
  readonly correct: number;
  /** Share of all items (micro average), with Wilson's 95 % interval. */
  readonly accuracy: number;
  readonly interval: Interval;
  /** Mean over subjects (macro average), which counts small subjects as much as large ones. */
  readonly macro: number;
  readonly bySubject: Readonly<
    Record<string, { readonly items: number; readonly correct: number; readonly accuracy: number }>
  >;
}

export function accuracyOf(results: readonly Judged[]): Accuracy {
  const groups = new Map<string, { items: number; correct: number }>();
  for (const { subject = '', correct } of results) {
    const { items, correct: before } = groups.get(subject) ?? { items: 0, correct: 0 };
    groups.set(subject, { items: items + 1, correct: before + Number(correct) });
  }
  const subjects = [...groups].map(
    ([subject, group]) => [subject, { ...group, accuracy: group.correct / group.items }] as const,
  );
  const correct = results.filter((result) => result.correct).length;
  return {
    items: results.length,
    correct,
    accuracy: correct / results.length,
    interval: wilsonInterval(correct, results.length),
    macro: subjects.reduce((sum, [, { accuracy }]) => sum + accuracy, 0) / subjects.length,
    bySubject: Object.fromEntries(subjects),
  };
}

/** Two models on the same items. Equal accuracy can hide many changed answers (arXiv:2407.09141), so flips are counted. */
export interface PairedAccuracy {
  readonly items: number;
  readonly reference: number;
  readonly candidate: number;
  /** candidate - reference, with the bootstrap interval of the paired difference. */
  readonly difference: number;
  readonly interval: Interval;
  /** Items that only the candidate answered rightly, and those that only the reference did. */
  readonly gained: number;
  readonly lost: number;
  /** (gained + lost) / items. */
  readonly flips: number;
  /** McNemar's exact test. */
  readonly pValue: number;
}

/** Both lists hold the same items in the same order. */
export function comparePaired(
  reference: readonly Judged[],
  candidate: readonly Judged[],
  seed = 1,
): PairedAccuracy {
  const differences = reference.map(({ correct }, i) => Number(candidate[i].correct) - Number(correct));
  const gained = differences.filter((value) => value > 0).length;
  const lost = differences.filter((value) => value < 0).length;
  const items = reference.length;
  const share = (results: readonly Judged[]) => results.filter(({ correct }) => correct).length / items;
  return {
    items,
    reference: share(reference),
    candidate: share(candidate),
    difference: (gained - lost) / items,
    interval: bootstrapInterval(differences, { seed }),
    gained,
    lost,
    flips: (gained + lost) / items,
    pValue: mcnemar(gained, lost),
  };
}
