import {
  type Backend,
  checkpointAll,
  isRecording,
  type Recompute,
  scope,
  type Tensor,
  transfer,
} from '../index.js';
import type { Block, StepContext } from './model.js';
import { bringHome, contextOn } from './placement.js';

export interface RunBlocksOptions {
  /** While training, store only the blocks' inputs and compute blocks again backward: less memory, a third more work. */
  readonly recompute?: Recompute;
  /** What computes each block; default: all what the hidden states lie on. */
  readonly placement?: readonly Backend[] | undefined;
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
  { recompute = false, placement }: RunBlocksOptions = {},
): Tensor {
  const { collected, batch } = context;
  const keepBytes = typeof recompute === 'object' ? recompute.keepBytes / blocks.length : 0;
  const run = !isRecording() ? released : recompute ? recomputed(keepBytes) : plain;
  const home = first.backend;
  let hidden = first;
  const goOn = (next: Tensor) => {
    const isUsed = isRecording() || hidden === first || hidden === next;
    if (!isUsed && ![...collected.values()].includes(hidden)) hidden.dispose();
    hidden = next;
  };
  for (const [i, block] of blocks.entries()) {
    const here = placement ? contextOn(context, placement[i]) : context;
    if (placement) goOn(transfer(hidden, placement[i]));
    goOn(run(block, hidden, here));
    bringHome(here, context);
    if (batch.collect?.has(`blocks.${i}.hidden`)) collected.set(`blocks.${i}.hidden`, transfer(hidden, home));
  }
  if (placement) goOn(transfer(hidden, home));
  return hidden;
}

const plain = (block: Block, hidden: Tensor, context: StepContext): Tensor => block.forward(hidden, context);

/** A block whose intermediate results are freed at its end. What it reports or shares stays. */
function released(block: Block, hidden: Tensor, context: StepContext): Tensor {
  const { shared, collected, losses, checks } = context;
  return scope(() => ({ next: block.forward(hidden, context), shared, collected, losses, checks })).next;
}

/**
 * A block of which only the input is stored, and results of at most `keepBytes`. What it reports beside its output leaves
 * through the same door.
 */
function recomputed(keepBytes: number): typeof plain {
  return (block, hidden, context) => {
    const reports = ['losses', 'collected', 'checks'] as const;
    let names: (readonly [report: (typeof reports)[number], name: string])[] = [];
    const forward = (x: Tensor) => {
      const own: StepContext = { ...context, losses: new Map(), collected: new Map(), checks: new Map() };
      const next = block.forward(x, own);
      names = reports.flatMap((report) => [...own[report].keys()].map((name) => [report, name] as const));
      return [next, ...reports.flatMap((report) => [...own[report].values()])];
    };
    const [output, ...reported] = checkpointAll(forward, [hidden], { keepBytes });
    for (const [i, [report, name]] of names.entries()) context[report].set(name, reported[i]);
    return output;
  };
}
