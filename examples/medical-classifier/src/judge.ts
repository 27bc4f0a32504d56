import { calibrationOf, classificationMetrics, type Interval, wilsonInterval } from '@frugal/eval';
import { fitTemperature, predict, refusalThreshold } from './calibration.js';
import type { Case, Split } from './split.js';

/** A way of telling chapters: class scores of each case. */
export interface Classifier {
  readonly name: string;
  /** Of weights. */
  readonly bytes: number;
  score(cases: readonly Case[]): Promise<readonly Float32Array[]>;
}

export interface Verdict {
  readonly name: string;
  readonly bytes: number;
  readonly accuracy: number;
  readonly interval: Interval;
  readonly english: number;
  readonly chinese: number;
  readonly macroF1: number;
  readonly temperature: number;
  /** Expected calibration error as trained, and with the temperature. */
  readonly calibration: { readonly before: number; readonly after: number };
  /** With the refusals that the validation asks for. */
  readonly answered: { readonly share: number; readonly accuracy: number };
  /** Median of cases given one by one. */
  readonly milliseconds: number;
  /** Whether each test case was right. */
  readonly right: readonly boolean[];
}

/** Answered cases shall be right this often. */
export const WANTED = 0.97;
const CLASSES = 22;
const TIMED = 200;

/** Temperature and threshold come from the validation, everything else from the test. */
export async function judge(classifier: Classifier, { validation, test }: Split): Promise<Verdict> {
  const checked = await classifier.score(validation);
  const temperature = fitTemperature(checked, validation);
  const threshold = refusalThreshold(predict(checked, temperature), validation, WANTED);
  const scores = await classifier.score(test);
  const predictions = predict(scores, temperature);
  const right = test.map(({ chapter }, i) => predictions[i].chapter === chapter);
  const share = (chosen: readonly boolean[]) => chosen.filter(Boolean).length / chosen.length;
  const of = (language: Case['language']) => share(right.filter((_, i) => test[i].language === language));
  const kept = right.filter((_, i) => predictions[i].confidence >= threshold);
  const errorAt = (t: number) =>
    calibrationOf(
      predict(scores, t).map(({ confidence }) => confidence),
      right,
    ).expectedError;
  const { macroF1 } = classificationMetrics(
    test.map(({ chapter }) => chapter),
    predictions.map(({ chapter }) => chapter),
    CLASSES,
  );
  return {
    name: classifier.name,
    bytes: classifier.bytes,
    accuracy: share(right),
    interval: wilsonInterval(right.filter(Boolean).length, right.length),
    english: of('English'),
    chinese: of('Chinese'),
    macroF1,
    temperature,
    calibration: { before: errorAt(1), after: errorAt(temperature) },
    answered: { share: kept.length / test.length, accuracy: share(kept) },
    milliseconds: await latency(classifier, test.slice(0, TIMED)),
    right,
  };
}

async function latency({ score }: Classifier, cases: readonly Case[]): Promise<number> {
  const times: number[] = [];
  for (const each of cases) {
    const start = performance.now();
    await score([each]);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}
