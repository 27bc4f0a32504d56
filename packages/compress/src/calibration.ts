import { keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import {
  type CausalLM,
  isLinearLike,
  type Output,
  packedTensors,
  type StepContext,
  stepBatch,
} from '@frugal/tensor-core/nn';
import { collectors, observeInputs, type StatName, StatsByPath } from './statistics.js';

/** Calibration texts on their way through the model: the activations before the next block. */
interface Travelling {
  hidden: Tensor;
  /** Index of its domain. */
  readonly domain: number;
  readonly context: StepContext;
}

export interface WalkOptions {
  /** The kind of each sequence, where they are told apart. */
  readonly domains?: readonly string[] | undefined;
  /** Whether statistics of experts will be asked for. */
  readonly watchExperts?: boolean;
  /** Sequences of one kind pass together while they have at most so many tokens; default: each by itself. */
  readonly tokensAtOnce?: number;
}

/** What a layer of experts tells of a step. */
const expertValues = ['salience', 'load', 'scores'] as const;

/**
 * Walks calibration sequences through a model block by block, so that memory holds one block's statistics and the
 * activations between two blocks. A block that was compressed passes its error on to the next.
 */
export class CalibrationWalk {
  private readonly travelling: Travelling[];
  private readonly domains: readonly string[];
  private readonly mixtures: ReturnType<typeof mixturesOf>;

  constructor(
    private readonly model: CausalLM,
    sequences: readonly ArrayLike<number>[],
    { domains = sequences.map(() => 'all'), watchExperts = false, tokensAtOnce = 0 }: WalkOptions = {},
  ) {
    const { vocabularySize } = model;
    const backend = model.parameters()[0]?.value.backend;
    this.mixtures = mixturesOf(model);
    const watched = watchExperts ? this.mixtures : [];
    const collect = new Set(watched.flatMap(({ path }) => expertValues.map((name) => `${path}.${name}`)));
    this.domains = [...new Set(domains)];
    this.travelling = together(sequences, domains, tokensAtOnce).map((group) => {
      const begin = () => model.begin(stepBatch(group.sequences, { vocabularySize, backend, collect }));
      const domain = this.domains.indexOf(group.domain);
      return keepTravelling({ ...scope(() => noGrad(begin)), domain });
    });
  }

  /** Statistics of the linear layers below block `index` and of the block itself, as it is now. */
  observeBlock(index: number, names: readonly StatName[]): StatsByPath {
    const path = `blocks.${index}`;
    const ofBlock = names.filter((name) => collectors[name].of === 'block');
    const ofExperts = names.filter((name) => collectors[name].of === 'experts');
    const mixtures = this.mixtures.filter((mixture) => mixture.path.startsWith(`${path}.`));
    const own = ofExperts.length > 0 ? mixtures : [];
    // Where nobody looks at what the block puts out, its last product need not be computed.
    const isWhole = ofBlock.length > 0 || mixtures.length > 0;
    return this.observe(path, names, { isWhole }, (item, stats) => {
      const output = this.model.blocks[index].forward(item.hidden, item.context);
      const { collected } = item.context;
      for (const mixture of own) {
        const [salience, load, scores] = expertValues.map((name) => collected.get(`${mixture.path}.${name}`));
        const { domain } = item;
        const values = { salience, load, scores, domain, domains: this.domains };
        if (salience && load && scores) stats.add(mixture.experts, ofExperts, values, () => values);
      }
      if (ofBlock.length === 0) return;
      stats.add(path, ofBlock, item, () => ({ input: item.hidden.cast('f32'), output: output.cast('f32') }));
    });
  }

  /** Statistics of the head, after all blocks. */
  observeHead(names: readonly StatName[]): StatsByPath {
    const { head } = this.model;
    const wanted = names.filter((name) => collectors[name].of === 'linear');
    return this.observe('head', names, { isWhole: true }, ({ hidden, context }, stats) => {
      const output = this.model.finish(hidden, context);
      // What it makes of the vocabulary is not asked for, and costs more than all else.
      if (isLinearLike(head))
        stats.add('head', wanted, output, () =>
          output.hidden.detach().cast('f32').reshape(-1, head.inFeatures),
        );
      else output.logits();
    });
  }

  /** Statistics of all sites of the model as it is, and the walk's end. */
  observeModel(names: readonly StatName[]): StatsByPath {
    const all = new StatsByPath();
    for (const index of this.model.blocks.keys()) {
      all.merge(this.observeBlock(index, names));
      this.advance(index);
    }
    return all.merge(this.observeHead(names));
  }

  /** Moves the activations past block `index` as it is now, with its packed layers laid out as they are when the model runs. */
  advance(index: number): void {
    const block = this.model.blocks[index];
    const packed = new Set([...block.namedModules()].flatMap(([, module]) => packedTensors(module)));
    const layouts = [...packed].map((weight) => weight.prepared());
    try {
      for (const item of this.travelling) {
        const next = keep(scope(() => noGrad(() => block.forward(item.hidden, item.context))));
        item.hidden.dispose();
        item.hidden = next;
      }
    } finally {
      for (const layout of layouts) layout[Symbol.dispose]();
    }
  }

  /**
   * What the model says of each sequence (that passes by itself) after all blocks, starting before block `index`, where the walk must be. The
   * activations stay, so that changes of that block, or of later ones, can be tried one after the other.
   */
  outputs(index: number, read: (output: Output, sequence: number) => Tensor): Tensor[] {
    const rest = this.model.blocks.slice(index);
    return this.travelling.map(({ hidden, context }, sequence) =>
      keep(
        scope(() =>
          noGrad(() => {
            const last = rest.reduce((before, block) => block.forward(before, context), hidden);
            return read(this.model.finish(last, context), sequence);
          }),
        ),
      ),
    );
  }

  dispose(): void {
    for (const { hidden, context } of this.travelling) {
      hidden.dispose();
      for (const tensors of context.shared.values()) for (const tensor of tensors) tensor.dispose();
      const { tokens, positions, sequenceStarts, logitRows } = context.batch;
      for (const tensor of [tokens, positions, sequenceStarts, logitRows]) tensor.dispose();
    }
  }

  /** Unless a pass is to be `isWhole`, it ends where the last of the layers has got its input. */
  private observe(
    prefix: string,
    names: readonly StatName[],
    { isWhole }: { readonly isWhole: boolean },
    run: (item: Travelling, stats: StatsByPath) => void,
  ): StatsByPath {
    const stats = new StatsByPath();
    let [inputs, ofPass] = [0, Number.POSITIVE_INFINITY];
    const watcher = observeInputs(linearBelow(this.model, prefix), names, stats, () => {
      if (++inputs === ofPass && !isWhole) throw endOfPass;
    });
    try {
      for (const item of this.travelling) {
        inputs = 0;
        untilEnd(() => scope(() => noGrad(() => run(item, stats))));
        ofPass = inputs;
      }
    } finally {
      watcher[Symbol.dispose]();
    }
    return stats.finish();
  }
}

const endOfPass = Symbol('the rest of the pass is not needed');

function untilEnd(pass: () => void): void {
  try {
    pass();
  } catch (thrown) {
    if (thrown !== endOfPass) throw thrown;
  }
}

interface Group {
  readonly sequences: ArrayLike<number>[];
  readonly domain: string;
  tokens: number;
}

/** Neighbouring sequences of one domain, as many as have at most so many tokens; at least one. */
function together(
  sequences: readonly ArrayLike<number>[],
  domains: readonly string[],
  tokens: number,
): readonly Group[] {
  const groups: Group[] = [];
  for (const [s, sequence] of sequences.entries()) {
    const last = groups.at(-1);
    if (last?.domain === domains[s] && last.tokens + sequence.length <= tokens) {
      last.sequences.push(sequence);
      last.tokens += sequence.length;
    } else groups.push({ sequences: [sequence], domain: domains[s], tokens: sequence.length });
  }
  return groups;
}

/** Layers with experts, and the path of their coupling. */
function mixturesOf(model: CausalLM): { readonly path: string; readonly experts: string }[] {
  return model
    .couplings()
    .flatMap(({ kind, path }) =>
      kind === 'experts' ? [{ path: path.slice(0, path.lastIndexOf('.')), experts: path }] : [],
    );
}

function* linearBelow(model: CausalLM, prefix: string) {
  for (const [path, module] of model.namedModules()) {
    const below = path === prefix || path.startsWith(`${prefix}.`);
    if (below && isLinearLike(module)) yield [path, module] as const;
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
