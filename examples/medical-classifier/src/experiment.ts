import { uniform } from '@frugal/example-support';
import type { EncoderModel } from '@frugal/models';
import { modelBytes } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { MASK, scoreCases, toInt8, trainEncoder } from './encoder.js';
import { type Classifier, judge, type Verdict } from './judge.js';
import { NGramRegression } from './regression.js';
import type { Settings } from './settings.js';
import type { Case, Split } from './split.js';

const CLASSES = 22;

/** Trains all models on one split and judges them: regression, teacher, the student alone, distilled, in int8. */
export async function runSplit(split: Split, settings: Settings, seed: number): Promise<Verdict[]> {
  const { train } = split;
  const options = { classes: CLASSES, seed, precision: 'bf16' } as const;
  const tokenizer = trainByteLevelBpe(
    train.map(({ text }) => text),
    { vocabularySize: settings.vocabularySize, specialTokens: ['[CLS]', MASK] },
  );
  const regression = new NGramRegression(train, {
    classes: CLASSES,
    epochs: settings.regressionEpochs,
    random: uniform(seed),
  });
  const verdicts = [
    await judge(
      {
        name: 'n-gram regression',
        bytes: regression.bytes,
        score: async (cases) => cases.map((each) => regression.score(each)),
      },
      split,
    ),
  ];
  const encoder = (name: string, model: EncoderModel, bytes = modelBytes(model)): Classifier => {
    model.computeDType = 'f32';
    return { name, bytes, score: (cases: readonly Case[]) => scoreCases(model, cases, tokenizer) };
  };
  const training = () => ({ ...options, random: uniform(seed) });
  const teacher = await trainEncoder('teacher', settings.teacher, train, tokenizer, training());
  const taught = encoder('teacher', teacher);
  verdicts.push(await judge(taught, split));
  const alone = await trainEncoder('alone', settings.student, train, tokenizer, training());
  verdicts.push(await judge(encoder('student alone', alone), split));
  const wanted = await taught.score(train);
  teacher.dispose();
  alone.dispose();
  const student = await trainEncoder('distilled', settings.student, train, tokenizer, {
    ...training(),
    teacher: wanted,
  });
  verdicts.push(await judge(encoder('student distilled', student), split));
  verdicts.push(await judge(encoder('student int8', student, await toInt8(student)), split));
  student.dispose();
  return verdicts;
}
