import { parseRecipe, type Recipe } from '@frugal/compress';
import { divergenceNames } from '@frugal/distill';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Command } from 'commander';
import { UsageError } from '../errors.js';
import { integer, number, Option } from '../verb.js';

/** What is compared: distributions over the same tokens, over those of two tokenizers, or nothing: the teacher writes. */
export const lossNames = [...divergenceNames, 'uld', 'sequence'] as const;
type LossName = (typeof lossNames)[number];

/** What the student learns of its teacher. */
export interface LossFlags {
  readonly loss: LossName;
  readonly beta?: number;
  readonly skew?: number;
  readonly topK?: number;
  readonly temperature: number;
  readonly alpha: number;
  readonly hidden?: 'mse' | 'cosine';
  readonly hiddenWeight: number;
  /** Share of batches that the student writes. */
  readonly onPolicy?: number;
  /** `uld`: what the distance of the sorted probabilities counts beside the next token. */
  readonly uldWeight?: number;
  /** `sequence`: tokens of an answer at most, and how often a question is asked until an answer ends by itself. */
  readonly maxTokens?: number;
  readonly attempts?: number;
}

/** Flags that some losses alone have. */
const owners: Readonly<Record<string, readonly LossName[]>> = {
  uldWeight: ['uld'],
  maxTokens: ['sequence'],
  attempts: ['sequence'],
  topK: divergenceNames,
  onPolicy: divergenceNames,
  hidden: divergenceNames,
};

/** @throws UsageError for a flag that the loss does not have */
export function checkLossFlags(flags: LossFlags): void {
  const { loss, alpha } = flags;
  const wrong = Object.entries(owners).find(
    ([name, losses]) => flags[name as keyof LossFlags] !== undefined && !losses.includes(loss),
  );
  const isOther = loss === 'uld' || loss === 'sequence';
  const name = wrong?.[0] ?? (isOther && alpha !== 1 ? 'alpha' : undefined);
  if (name === undefined) return;
  const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const takers = owners[name] ?? divergenceNames;
  throw new UsageError({
    where: flag,
    what: `--loss ${loss} does not have it`,
    got: String(flags[name as keyof LossFlags]),
    expected: `--loss ${takers.join(', ')}`,
    ...(name === 'alpha' && loss === 'uld' && { hint: 'Its share of the loss is --uld-weight.' }),
  });
}

/** `--loss`, `--beta`, `--skew`, `--top-k`, `--temperature`, `--alpha`, `--hidden`, `--hidden-weight`, `--on-policy`. */
export function addLossOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--loss <NAME>',
        'distance of the two distributions; uld: for another tokenizer; sequence: learn the answers that the teacher writes',
      )
        .choices([...lossNames])
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
    )
    .option(
      '--uld-weight <W>',
      'uld: multiplies the distance of the sorted probabilities (default: 1.5)',
      number(0.001),
    )
    .option(
      '--max-tokens <N>',
      'sequence: of an answer; longer ones are tried again (default: 256)',
      integer(1),
    )
    .option('--attempts <N>', 'sequence: at each question (default: 4)', integer(1));
}

/** What must not change between start and resume. */
export function lossSettings(flags: LossFlags): LossFlags {
  const { loss, beta, skew, topK, temperature, alpha, hidden, hiddenWeight, onPolicy } = flags;
  const { uldWeight, maxTokens, attempts } = flags;
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
    ...(uldWeight !== undefined && { uldWeight }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(attempts !== undefined && { attempts }),
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

/** One stage that teaches across tokenizers; needs `universalDistillation` among the methods. */
export function universalRecipe({ uldWeight, temperature }: LossFlags, seed: number): Recipe {
  return recipeOf(
    [{ type: 'distill.uld', temperature, ...(uldWeight !== undefined && { weight: uldWeight }) }],
    seed,
  );
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
