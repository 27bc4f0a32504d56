import { keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, isLinearLike, type StepContext, stepBatch } from '@frugal/tensor-core/nn';
import { disposeStats, observeInputs, type StatName, type Stats } from './statistics.js';

/** One calibration text on its way through the model: the activations before the next block. */
interface Travelling {
  hidden: Tensor;
  readonly context: StepContext;
}

/**
 * Walks calibration sequences through a model block by block, so that memory holds one block's statistics and the
 * activations between two blocks. A block that was compressed passes its error on to the next.
 */
export class CalibrationWalk {
  private readonly travelling: Travelling[];

  constructor(
    private readonly model: CausalLM,
    sequences: readonly ArrayLike<number>[],
  ) {
    const { vocabularySize } = model;
    const backend = model.parameters()[0]?.value.backend;
    this.travelling = sequences.map((sequence) =>
      keepTravelling(
        scope(() => noGrad(() => model.begin(stepBatch([sequence], { vocabularySize, backend })))),
      ),
    );
  }

  /** Statistics of the linear layers below `prefix` while the calibration runs through block `index`. */
  observeBlock(index: number, prefix: string, names: readonly StatName[]): Map<string, Stats> {
    return this.observe(prefix, names, ({ hidden, context }) =>
      this.model.blocks[index].forward(hidden, context),
    );
  }

  /** Statistics of the head, after all blocks. */
  observeHead(names: readonly StatName[]): Map<string, Stats> {
    return this.observe('head', names, ({ hidden, context }) => this.model.finish(hidden, context).logits());
  }

  /** Statistics of all linear layers of the model as it is, and the walk's end. */
  observeModel(names: readonly StatName[]): Map<string, Stats> {
    const parts = [...this.model.blocks.keys()].map((index) => {
      const stats = this.observeBlock(index, `blocks.${index}`, names);
      this.advance(index);
      return stats;
    });
    return new Map([...parts, this.observeHead(names)].flatMap((part) => [...part]));
  }

  /** Moves the activations past block `index` as it is now. */
  advance(index: number): void {
    for (const item of this.travelling) {
      const next = keep(
        scope(() => noGrad(() => this.model.blocks[index].forward(item.hidden, item.context))),
      );
      item.hidden.dispose();
      item.hidden = next;
    }
  }

  dispose(): void {
    for (const { hidden, context } of this.travelling) {
      hidden.dispose();
      for (const tensors of context.shared.values()) for (const tensor of tensors) tensor.dispose();
      const { tokens, positions, sequenceStarts, logitRows } = context.batch;
      for (const tensor of [tokens, positions, sequenceStarts, logitRows]) tensor.dispose();
    }
  }

  private observe(
    prefix: string,
    names: readonly StatName[],
    run: (item: Travelling) => Tensor,
  ): Map<string, Stats> {
    const observed = new Map<string, ReturnType<typeof observeInputs>>();
    for (const [path, module] of this.model.namedModules()) {
      if (!isLinearLike(module) || !(path === prefix || path.startsWith(`${prefix}.`))) continue;
      observed.set(path, observeInputs(module, names));
    }
    try {
      for (const item of this.travelling) scope(() => noGrad(() => void run(item)));
    } finally {
      for (const watcher of observed.values()) watcher[Symbol.dispose]();
    }
    return new Map([...observed].map(([path, { stats }]) => [path, stats]));
  }
}

function keepTravelling(item: Travelling): Travelling {
  const { tokens, positions, sequenceStarts, logitRows } = item.context.batch;
  for (const tensor of [
    item.hidden,
    tokens,
    positions,
    sequenceStarts,
    logitRows,
    ...[...item.context.shared.values()].flat(),
  ]) {
    keep(tensor);
  }
  return item;
}

export function disposeAll(stats: ReadonlyMap<string, Stats>): void {
  for (const entry of stats.values()) disposeStats(entry);
}
