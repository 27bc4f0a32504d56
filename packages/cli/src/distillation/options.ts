import { parseRecipe, type Recipe } from '@frugal/compress';
import { type DivergenceName, divergenceNames } from '@frugal/distill';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Command } from 'commander';
import { integer, number, Option } from '../verb.js';

/** What the student learns of its teacher. */
export interface LossFlags {
  readonly loss: DivergenceName;
  readonly beta?: number;
  readonly skew?: number;
  readonly topK?: number;
  readonly temperature: number;
  readonly alpha: number;
  readonly hidden?: 'mse' | 'cosine';
  readonly hiddenWeight: number;
  /** Share of batches that the student writes. */
  readonly onPolicy?: number;
}

/** `--loss`, `--beta`, `--skew`, `--top-k`, `--temperature`, `--alpha`, `--hidden`, `--hidden-weight`, `--on-policy`. */
export function addLossOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--loss <NAME>', 'distance of the two distributions')
        .choices([...divergenceNames])
        .default('forward-kl'),
    )
    .option('--beta <B>', 'jensen-shannon: share of the teacher in the mixture (default: 0.5)', number(0, 1))
    .option('--skew <S>', 'skew-kl, skew-reverse-kl: share of the first side (default: 0.1)', number(0, 1))
    .option('--top-k <K>', "compare the teacher's likeliest tokens alone, all others as one", integer(1))
    .option('--temperature <T>', 'softens both distributions', number(0.01), 1)
    .option(
      '--alpha <A>',
      "the teacher's share of the loss; the rest is the next token itself",
      number(0, 1),
      1,
    )
    .addOption(
      new Option('--hidden <DISTANCE>', 'match hidden states behind each block as well').choices([
        'mse',
        'cosine',
      ]),
    )
    .option('--hidden-weight <W>', 'multiplies the distance of hidden states', number(0), 1)
    .option(
      '--on-policy <L>',
      'share of batches whose second halves the student writes itself (GKD)',
      number(0, 1),
    );
}

/** What must not change between start and resume. */
export function lossSettings(flags: LossFlags): LossFlags {
  const { loss, beta, skew, topK, temperature, alpha, hidden, hiddenWeight, onPolicy } = flags;
  return {
    loss,
    ...(beta !== undefined && { beta }),
    ...(skew !== undefined && { skew }),
    ...(topK !== undefined && { topK }),
    temperature,
    alpha,
    ...(hidden && { hidden }),
    hiddenWeight,
    ...(onPolicy && { onPolicy }),
  };
}

export interface RecipeInputs {
  readonly student: CausalLM;
  readonly teacher: CausalLM;
  readonly tokenizer: Tokenizer;
  readonly seed: number;
}

/** One stage that teaches. Heads of different sizes are padded: both models have the same tokenizer. */
export function distillationRecipe(flags: LossFlags, inputs: RecipeInputs): Recipe {
  const { hidden, hiddenWeight, onPolicy: lambda, ...logits } = lossSettings(flags);
  const { student, teacher, tokenizer, seed } = inputs;
  const isPadded = student.head.outFeatures !== teacher.head.outFeatures;
  const vocabulary = isPadded ? { vocabulary: tokenizer.vocabularySize } : {};
  const onPolicy = lambda ? { onPolicy: { lambda, stopIds: [...tokenizer.eosIds] } } : {};
  const modifiers: object[] = [{ type: 'distill.logits', ...logits, ...vocabulary, ...onPolicy }];
  if (hidden) modifiers.push({ type: 'distill.hidden', distance: hidden, weight: hiddenWeight });
  return recipeOf(modifiers, seed);
}

/** One stage that teaches from a cache, whose settings say the rest. */
export function storedRecipe(
  flags: LossFlags,
  { student, tokenizer, seed }: Omit<RecipeInputs, 'teacher'>,
): Recipe {
  const { loss, beta, skew, alpha } = flags;
  const isPadded = student.head.outFeatures !== tokenizer.vocabularySize;
  const vocabulary = isPadded ? { vocabulary: tokenizer.vocabularySize } : {};
  return recipeOf([{ type: 'distill.stored', loss, beta, skew, alpha, ...vocabulary }], seed);
}

/** The same training with nobody to learn from. */
export function controlRecipe(seed: number): Recipe {
  return recipeOf([{ type: 'distill.logits', alpha: 0 }], seed);
}

function recipeOf(modifiers: readonly object[], seed: number): Recipe {
  const targets = { include: ['blocks.*'] };
  const stage = { name: 'distill', modifiers: modifiers.map((each) => ({ ...each, targets })) };
  return parseRecipe({ version: 1, seed, stages: [stage] });
}
