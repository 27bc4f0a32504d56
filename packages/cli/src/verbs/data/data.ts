import type { Verb } from '../../verb.js';
import { cleanVerb } from './clean.js';
import { decontaminateVerb } from './decontaminate.js';
import { dedupVerb } from './dedup.js';
import { packVerb } from './pack.js';
import { selectVerb } from './select.js';
import { splitVerb } from './split.js';
import { synthesizeVerb } from './synthesize.js';
import { trainTokenizerVerb } from './train-tokenizer.js';

export const dataVerb: Verb = (program, context) => {
  const data = program
    .command('data')
    .description(
      'prepare text for training: clean, dedup, decontaminate, select, split, train-tokenizer, pack, synthesize',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  frugal data split books/*.txt --out data/split\n  frugal data pack --help',
    );
  for (const addTo of [
    cleanVerb,
    dedupVerb,
    decontaminateVerb,
    selectVerb,
    splitVerb,
    trainTokenizerVerb,
    packVerb,
    synthesizeVerb,
  ])
    addTo(data, context);
};
