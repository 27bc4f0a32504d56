import { checkpointAll, isRecording, scope, type Tensor } from '../index.js';
import type { Block, StepContext } from './model.js';

export interface RunBlocksOptions {
  /** While training, store only the blocks' inputs and compute blocks again backward: less memory, a third more work. */
  readonly recompute?: boolean;
}

/**
 * Hidden states [N, C] through all blocks: → [N, C]. `batch.collect` may name `blocks.I.hidden`, what block I puts out.
 * Without a tape, only what the next block reads outlives a block, so that a prompt takes the memory of one block, which
 * the next one finds in the caches.
 */
export function runBlocks(
  blocks: readonly Block[],
  first: Tensor,
  context: StepContext,
  { recompute = false }: RunBlocksOptions = {},
): Tensor {
  const { collected, batch } = context;
  const run = !isRecording() ? released : recompute ? recomputed : plain;
  let hidden = first;
  for (const [i, block] of blocks.entries()) {
    const next = run(block, hidden, context);
    const isUsed = isRecording() || hidden === first || hidden === next;
    if (!isUsed && ![...collected.values()].includes(hidden)) hidden.dispose();
    hidden = next;
    if (batch.collect?.has(`blocks.${i}.hidden`)) collected.set(`blocks.${i}.hidden`, hidden);
  }
  return hidden;
}

const plain = (block: Block, hidden: Tensor, context: StepContext): Tensor => block.forward(hidden, context);

/** A block whose intermediate results are freed at its end. What it reports or shares stays. */
function released(block: Block, hidden: Tensor, context: StepContext): Tensor {
  const { shared, collected, losses, checks } = context;
  return scope(() => ({ next: block.forward(hidden, context), shared, collected, losses, checks })).next;
}

/** A block of which only the input is stored. What it reports beside its output leaves through the same door. */
function recomputed(block: Block, hidden: Tensor, context: StepContext): Tensor {
  const reports = ['losses', 'collected', 'checks'] as const;
  let names: (readonly [report: (typeof reports)[number], name: string])[] = [];
  const [output, ...reported] = checkpointAll((x) => {
    const own: StepContext = { ...context, losses: new Map(), collected: new Map(), checks: new Map() };
    const next = block.forward(x, own);
    names = reports.flatMap((report) => [...own[report].keys()].map((name) => [report, name] as const));
    return [next, ...reports.flatMap((report) => [...own[report].values()])];
  }, hidden);
  for (const [i, [report, name]] of names.entries()) context[report].set(name, reported[i]);
  return output;
}
