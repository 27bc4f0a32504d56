import type { Tensor } from '../index.js';
import { chooseRows } from './choose-rows.js';
import type { ModelSteps, StepPart } from './model-step.js';
import type { RunningText } from './running-text.js';

/** How far a text advances in a step. */
export interface PlannedText {
  readonly text: RunningText;
  /** Where the cache keeps it. */
  readonly sequence: number;
  /** Tokens to compute, guesses included. */
  readonly count: number;
  /** Which adapter it uses; default -1, none. */
  readonly adapter?: number | undefined;
}

/** For each row that was wanted a token, or the logits to choose it from: what `RunningText.accept` takes. */
export type RowChoices = readonly (number | Float32Array)[];

/**
 * Computes the next tokens of several texts in one pass and chooses what follows them. The texts have not taken it yet:
 * each may still fail alone.
 */
export async function computeTexts(
  steps: ModelSteps,
  planned: readonly PlannedText[],
  collect?: ReadonlySet<string>,
): Promise<readonly RowChoices[]> {
  const parts = planned.map(({ text, sequence, count, adapter }) => ({
    ...{ sequence, adapter },
    ...text.take(count),
  }));
  const { logits, collected } = steps.run(parts, collect);
  try {
    if (collect) observe(planned, parts, collected);
    return logits ? await choose(logits, planned, parts) : planned.map(() => []);
  } finally {
    logits?.dispose();
    for (const tensor of collected.values()) tensor.dispose();
  }
}

function observe(
  planned: readonly PlannedText[],
  parts: readonly StepPart[],
  collected: ReadonlyMap<string, Tensor>,
): void {
  let row = 0;
  for (const [i, { text }] of planned.entries()) {
    text.observe(collected, row, parts[i].tokens.length);
    row += parts[i].tokens.length;
  }
}

async function choose(
  logits: Tensor,
  planned: readonly PlannedText[],
  parts: readonly StepPart[],
): Promise<RowChoices[]> {
  const choices = planned.flatMap(({ text }, i) => text.choices(parts[i].logits));
  const rows = await chooseRows(logits, choices);
  let start = 0;
  return parts.map((part) => {
    const own = rows.slice(start, start + part.logits);
    start += part.logits;
    return own;
  });
}
