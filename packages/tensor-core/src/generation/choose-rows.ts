import { keep, noGrad, scope, type Tensor, tensor } from '../index.js';
import { FEW, fewLogits, freeDraws, type TokenConstraint } from './constraint.js';
import { type SamplingRequest, sampleRows } from './sampling.js';

/** How the token of a row is chosen. */
export interface RowChoice {
  readonly draw: SamplingRequest;
  /** What to do with the logits before, if anything: change them, or leave them for whoever takes them. */
  readonly edit?: ((logits: Float32Array) => void) | 'leave' | undefined;
  /** What the token must comply with. */
  readonly constraint?: Pick<TokenConstraint, 'few' | 'allows' | 'restrict'> | undefined;
}

/** For each row a token, or its logits. */
type Chosen = Map<number, number | Float32Array>;

/** So many of the most likely tokens are tried before all forbidden ones are struck out. */
const MOST_TRIED = 16;

/**
 * Chooses a token from each row of logits f32 [M, V]. Where nobody needs the logits they stay on their backend and only M
 * numbers come back. Rows come back themselves where they are to be left, and where they are broken, so that only their own
 * text ends.
 */
export async function chooseRows(
  logits: Tensor,
  choices: readonly RowChoice[],
): Promise<readonly (number | Float32Array)[]> {
  const chosen: Chosen = new Map();
  const rows = await edited(logits, choices);
  try {
    await drawOfFew(rows, choices, chosen, 'cheap');
    await drawFreely(rows, choices, chosen);
    await drawAgain(rows, choices, chosen);
    await drawOfFew(rows, choices, chosen, 'full');
    await drawRestricted(rows, choices, chosen);
  } finally {
    if (rows !== logits) rows.dispose();
  }
  const left = choices.flatMap(({ edit }, row) =>
    edit === 'leave' || !isToken(chosen.get(row)) ? [row] : [],
  );
  (await read(logits, left)).forEach((values, i) => void chosen.set(left[i], values));
  return choices.map((_, row) => chosen.get(row) as number | Float32Array);
}

const isDrawn = ({ draw }: RowChoice) => (draw.options.temperature ?? 0) > 0;

const isToken = (id: number | Float32Array | undefined) => typeof id === 'number' && id >= 0;

/** The logits, with the edits of all rows that have one. */
async function edited(logits: Tensor, choices: readonly RowChoice[]): Promise<Tensor> {
  if (!choices.some(({ edit }) => typeof edit === 'function')) return logits;
  const [M, V] = logits.shape;
  const values = await logits.toFloat32();
  choices.forEach(({ edit }, row) => {
    if (typeof edit === 'function') edit(values.subarray(row * V, (row + 1) * V));
  });
  return tensor(values, { shape: [M, V], backend: logits.backend });
}

/** Rows in which few tokens are allowed: only their logits leave the backend. */
async function drawOfFew(
  rows: Tensor,
  choices: readonly RowChoice[],
  chosen: Chosen,
  effort: 'cheap' | 'full',
): Promise<void> {
  const few = choices.flatMap((choice, row) => {
    // The most likely token is found by trying the next ones.
    const isOpen = !chosen.has(row) && (effort === 'cheap' || isDrawn(choice));
    const ids = isOpen ? fewOf(choice, effort) : null;
    const attempt = effort === 'cheap' ? 0 : freeDraws(choice.draw.options);
    return ids ? [{ row, ids, draw: { ...choice.draw, attempt } }] : [];
  });
  if (few.length === 0) return;
  const [M, V] = rows.shape;
  const each = scope(() => keep(rows.reshape(M * V, 1)));
  const at = few.flatMap(({ row, ids }) => ids.map((id) => row * V + id));
  const values = await onRows(each, at, (some) => some.toFloat32()).finally(() => each.dispose());
  const compact = new Float32Array(few.length * FEW);
  let start = 0;
  few.forEach(({ ids }, i) => {
    compact.set(fewLogits(values.subarray(start, start + ids.length)), i * FEW);
    start += ids.length;
  });
  const found = await sampleHost(
    compact,
    few.map(({ draw }) => draw),
    rows,
  );
  few.forEach(({ row, ids }, i) => void chosen.set(row, found[i] < 0 ? -1 : ids[found[i]]));
}

/** Draws for all rows as if nothing were forbidden. What is broken, and what is allowed, is settled. */
async function drawFreely(rows: Tensor, choices: readonly RowChoice[], chosen: Chosen): Promise<void> {
  const isFree = ({ draw, constraint }: RowChoice) => !constraint || freeDraws(draw.options) > 0;
  if (!choices.some((choice, row) => !chosen.has(row) && isFree(choice))) return;
  const ids = await sampleRows(
    rows,
    choices.map(({ draw }) => draw),
  );
  choices.forEach((choice, row) => {
    if (chosen.has(row)) return;
    if (isFree(choice) && (ids[row] < 0 || isAllowed(choice, ids[row]))) chosen.set(row, ids[row]);
  });
}

/** The other free draws of the rows that are still open, all at once. */
async function drawAgain(rows: Tensor, choices: readonly RowChoice[], chosen: Chosen): Promise<void> {
  const tries = choices.flatMap(({ draw }, row) => {
    const more = chosen.has(row) ? 0 : Math.max(0, freeDraws(draw.options) - 1);
    return Array.from({ length: more }, (_, i) => ({ row, draw: { ...draw, attempt: i + 1 } }));
  });
  if (tries.length === 0) return;
  const ids = await onRows(
    rows,
    tries.map(({ row }) => row),
    (some) =>
      sampleRows(
        some,
        tries.map(({ draw }) => draw),
      ),
  );
  tries.forEach(({ row }, i) => {
    if (!chosen.has(row) && isAllowed(choices[row], ids[i])) chosen.set(row, ids[i]);
  });
}

/** Rows of which no free draw was allowed: from the allowed tokens alone. */
async function drawRestricted(rows: Tensor, choices: readonly RowChoice[], chosen: Chosen): Promise<void> {
  const open = choices.flatMap((_, row) => (chosen.has(row) ? [] : [row]));
  const restricted: { readonly row: number; readonly values: Float32Array }[] = [];
  (await read(rows, open)).forEach((values, i) => {
    const [row, choice] = [open[i], choices[open[i]]];
    const likely = isDrawn(choice) ? undefined : mostLikelyAllowed(values, choice);
    if (likely !== undefined) chosen.set(row, likely);
    else if (restrict(choice, values)) restricted.push({ row, values });
  });
  if (restricted.length === 0) return;
  const V = rows.shape[1];
  const all = new Float32Array(restricted.length * V);
  restricted.forEach(({ values }, i) => void all.set(values, i * V));
  const draws = restricted.map(({ row }) => choices[row].draw);
  const ids = await sampleHost(
    all,
    draws.map((draw) => ({ ...draw, attempt: freeDraws(draw.options) })),
    rows,
  );
  restricted.forEach(({ row }, i) => void chosen.set(row, ids[i]));
}

/** Null also where that fails: it fails again when the row is restricted. */
function fewOf({ constraint }: RowChoice, effort: 'cheap' | 'full'): readonly number[] | null {
  try {
    return constraint?.few(effort) ?? null;
  } catch {
    return null;
  }
}

/** A check that fails says no: its text alone fails, when its row is restricted. */
function isAllowed({ constraint }: RowChoice, id: number): boolean {
  try {
    return constraint?.allows(id) ?? true;
  } catch {
    return false;
  }
}

/** Whether that went well. */
function restrict({ constraint }: RowChoice, logits: Float32Array): boolean {
  try {
    constraint?.restrict(logits);
    return true;
  } catch {
    return false;
  }
}

function mostLikelyAllowed(logits: Float32Array, choice: RowChoice): number | undefined {
  return mostLikely(logits, MOST_TRIED).find((id) => isAllowed(choice, id));
}

/** Indices of the largest values, in their order, the first ones of equal ones first; at most `count`, none of -∞ or NaN. */
function mostLikely(values: Float32Array, count: number): Int32Array {
  const ids = new Int32Array(count);
  let found = 0;
  let least = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value > least)) continue;
    let at = found < count ? found++ : count - 1;
    for (; at > 0 && values[ids[at - 1]] < value; at--) ids[at] = ids[at - 1];
    ids[at] = i;
    if (found === count) least = values[ids[count - 1]];
  }
  return ids.subarray(0, found);
}

/** Draws from rows that are on the host, where `like` is. */
async function sampleHost(
  values: Float32Array,
  draws: readonly SamplingRequest[],
  like: Tensor,
): Promise<readonly number[]> {
  const shape = [draws.length, values.length / draws.length];
  const rows = tensor(values, { shape, backend: like.backend });
  return sampleRows(rows, draws).finally(() => rows.dispose());
}

/** Copies of rows, on the host. */
async function read(logits: Tensor, rows: readonly number[]): Promise<Float32Array[]> {
  if (rows.length === 0) return [];
  const V = logits.shape[1];
  const values = await onRows(logits, rows, (some) => some.toFloat32());
  return rows.map((_, i) => values.subarray(i * V, (i + 1) * V));
}

/** Some rows, in this order, on their backend. */
async function onRows<T>(
  logits: Tensor,
  rows: readonly number[],
  use: (some: Tensor) => Promise<T>,
): Promise<T> {
  const { backend } = logits;
  const some = noGrad(() =>
    scope(() => logits.gatherRows(tensor(Int32Array.from(rows), { shape: [rows.length], backend }))),
  );
  return use(some).finally(() => some.dispose());
}
