import type { TensorInfo } from './backend.js';
import { fill } from './creation.js';
import { isFloating } from './dtype.js';
import { ArgumentError, LifetimeError, ShapeError } from './errors.js';
import type { Vjp } from './ops/definition.js';
import type { OpName, OpSpecs } from './ops/specs.js';
import { Rehearsal } from './rehearsal.js';
import { enterScope, keep, type ScopeMember, scope } from './scope.js';
import { formatShape, sameShape } from './shape.js';
import type { Tensor } from './tensor.js';

/** `rehearse`: nothing is recorded now, because checkpoint() will run the same again and record it then. */
type Mode = 'record' | 'rehearse' | 'off';

let mode: Mode = 'record';
let nextId = 0;

/** Whether ops are recorded on the tape now. */
export function isRecording(): boolean {
  return mode === 'record';
}

/** Whether gradients will be taken of what runs now, recorded or not: what dropout depends on. */
export function isTraining(): boolean {
  return mode !== 'off';
}

/** Runs `fn` without recording: inference, optimizer updates. */
export function noGrad<T>(fn: () => T): T {
  return inMode('off', fn);
}

/** Runs `fn` with recording, also inside {@link noGrad}: gradients inside a gradient rule. */
export function enableGrad<T>(fn: () => T): T {
  return inMode('record', fn);
}

function inMode<T>(next: Mode, fn: () => T): T {
  const before = mode;
  mode = next;
  try {
    return fn();
  } finally {
    mode = before;
  }
}

/** What a gradient rule sees: gradients of the outputs, and which inputs want one. */
export interface PullContext {
  /** Gradient of output `index`; zeros when the loss does not depend on that output. */
  gradient(index: number): Tensor;
  /** Whether the loss depends on output `index` at all. */
  received(index: number): boolean;
  needs(index: number): boolean;
}

type Pull = (context: PullContext) => readonly (Tensor | null)[];

/** Where the gradient of an input flows: to the op that made it, or into a leaf's `grad`. */
type Edge = { readonly node: TapeNode; readonly output: number } | { readonly leaf: Tensor } | null;

/** One recorded op. It owns handles of the values its rule reads, and drops them when the walk has passed. */
export class TapeNode implements ScopeMember {
  /** Later nodes have larger ids, so descending ids are a topological order. */
  readonly id = nextId++;
  private gradients: (Tensor | null)[] = [];
  private versions: number[];
  private released = false;

  constructor(
    readonly name: string,
    private readonly edges: readonly Edge[],
    private readonly outputs: readonly TensorInfo[],
    private readonly saved: readonly Tensor[],
    private readonly pull: Pull,
  ) {
    this.versions = saved.map((tensor) => tensor.storage.version);
    enterScope(this);
  }

  *reaches(): Iterable<TapeNode> {
    for (const edge of this.edges) if (edge && 'node' in edge) yield edge.node;
  }

  dispose(): void {
    if (this.released) return;
    this.released = true;
    for (const tensor of this.saved) tensor.dispose();
    for (const gradient of this.gradients) gradient?.dispose();
    this.gradients = [];
  }

  /** Adds to the gradient of one output; the handle that is passed in stays the caller's. */
  accumulate(output: number, gradient: Tensor): void {
    this.gradients[output] = addGradient(this.gradients[output] ?? null, gradient);
  }

  /** Pulls the gradients of the outputs back to the inputs and releases everything this node holds. */
  walk(): void {
    if (!this.released && this.gradients.length === 0) {
      this.dispose(); // the loss does not depend on it
      return;
    }
    this.checkAlive();
    scope(() => {
      const context: PullContext = {
        gradient: (index) => this.gradients[index] ?? fill(this.outputs[index], 0, this.backend()),
        received: (index) => Boolean(this.gradients[index]),
        needs: (index) => this.edges[index] !== null,
      };
      const results = this.pull(context);
      this.edges.forEach((edge, i) => {
        const gradient = results[i];
        if (edge && gradient) passOn(edge, gradient);
      });
    });
    this.dispose();
  }

  private backend() {
    return this.gradients.find((gradient) => gradient)?.backend;
  }

  private checkAlive(): void {
    if (this.released) {
      for (const gradient of this.gradients) gradient?.dispose();
      this.gradients = [];
      throw new LifetimeError({
        where: 'backward',
        what: `the values saved for ${this.name} are already released`,
        hint: 'Call backward() once per forward pass, inside the scope() that made the loss.',
      });
    }
    const changed = this.saved.findIndex((tensor, i) => tensor.storage.version !== this.versions[i]);
    if (changed >= 0) {
      throw new LifetimeError({
        where: 'backward',
        what: `a tensor ${formatShape(this.saved[changed].shape)} that ${this.name} needs was changed in place`,
        hint: 'Run backward() before the op that mutates it (assign, writeRows, adamw).',
      });
    }
  }
}

function addGradient(sum: Tensor | null, gradient: Tensor): Tensor {
  if (sum === null) return keep(gradient.detach());
  const total = keep(sum.add(gradient));
  sum.dispose();
  return total;
}

/** Where gradients of leaves go while {@link collectGradients} runs. */
let collected: Map<Tensor, Tensor> | null = null;

/** Adds a gradient to where it flows. */
function passOn(edge: NonNullable<Edge>, gradient: Tensor): void {
  if ('node' in edge) edge.node.accumulate(edge.output, gradient);
  else if (collected) collected.set(edge.leaf, addGradient(collected.get(edge.leaf) ?? null, gradient));
  else edge.leaf.grad = addGradient(edge.leaf.grad, gradient);
}

/**
 * Like `root.backward()`, but adds the gradient of each leaf in `into` instead of its `grad`: for losses that compute
 * gradients in the forward pass, see {@link customGradient}. The gradients belong to the caller, who disposes them.
 */
export function collectGradients(root: Tensor, into: Map<Tensor, Tensor>): void {
  const before = collected;
  collected = into;
  try {
    runBackward(root);
  } finally {
    collected = before;
  }
}

function edgeOf(tensor: Tensor): Edge {
  if (tensor.node) return { node: tensor.node, output: tensor.nodeOutput };
  return tensor.requiresGrad ? { leaf: tensor } : null;
}

/** Whether an op on these inputs must be recorded. */
export function mustRecord(inputs: readonly Tensor[]): boolean {
  if (mode !== 'record') return false;
  for (let i = 0; i < inputs.length; i++) if (inputs[i].requiresGrad) return true;
  return false;
}

/** Records an op that was run; called by dispatch alone. */
export function recordOp<N extends OpName>(
  op: N,
  vjp: Vjp<N>,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  attributes: OpSpecs[N],
): void {
  const savedInputs = saveHandles(inputs, vjp.saves.inputs);
  const savedOutputs = saveHandles(outputs, vjp.saves.outputs);
  const inputInfos = inputs.map(infoOf);
  const outputInfos = outputs.map(infoOf);
  const pull: Pull = ({ gradient, received, needs }) =>
    vjp.gradients({
      attributes,
      inputInfos,
      outputInfos,
      gradient: (index = 0) => gradient(index),
      received,
      input: (index) => savedValue(savedInputs, index, op, 'input'),
      output: (index = 0) => savedValue(savedOutputs, index, op, 'output'),
      needs,
    });
  const node = new TapeNode(
    op,
    inputs.map(edgeOf),
    outputInfos,
    [...savedInputs.values(), ...savedOutputs.values()],
    pull,
  );
  attach(node, outputs, vjp.constantOutputs);
}

/** Untracked handles of the listed tensors: a node must not keep other nodes alive through what it saves. */
function saveHandles(
  tensors: readonly Tensor[],
  indices: readonly number[] | 'all' = [],
): Map<number, Tensor> {
  const saved = new Map<number, Tensor>();
  for (const i of indices === 'all' ? tensors.keys() : indices)
    if (i < tensors.length) saved.set(i, keep(tensors[i].detach()));
  return saved;
}

function savedValue(saved: Map<number, Tensor>, index: number, op: string, kind: string): Tensor {
  const tensor = saved.get(index);
  if (!tensor) {
    throw new ArgumentError({
      where: op,
      what: `the gradient rule reads ${kind} ${index}, which it does not save`,
      hint: `List ${index} in vjp.saves.${kind}s.`,
    });
  }
  return tensor;
}

function infoOf({ shape, dtype }: TensorInfo): TensorInfo {
  return { shape, dtype };
}

function attach(node: TapeNode, outputs: readonly Tensor[], constant: readonly number[] = []): void {
  outputs.forEach((output, index) => {
    if (isFloating(output.dtype) && !constant.includes(index)) output.attachNode(node, index);
  });
}

/**
 * Gives `outputs` (computed without recording) a gradient rule of their own: for losses that compute gradients in
 * the forward pass, straight-through estimators and the like. `saved` tensors stay alive until the walk.
 */
export function customGradient(
  name: string,
  inputs: readonly Tensor[],
  saved: readonly Tensor[],
  outputs: readonly Tensor[],
  pull: (context: PullContext, saved: readonly Tensor[]) => readonly (Tensor | null)[],
): void {
  if (!mustRecord(inputs)) return;
  const handles = saved.map((tensor) => keep(tensor.detach()));
  attach(
    new TapeNode(name, inputs.map(edgeOf), outputs.map(infoOf), handles, (context) => pull(context, handles)),
    outputs,
  );
}

/**
 * Runs `fn(inputs)` without storing its intermediate values; the backward walk runs it a second time (Chen et al.
 * 2016, arXiv:1604.06174). Random draws are replayed. Parameters that `fn` uses get their gradients as usual.
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  return checkpointAll((...same) => [fn(...same)], inputs)[0];
}

/** Whether blocks of a model are checkpointed, and how many bytes of results all of them together may store, see {@link checkpointAll}. */
export type Recompute = boolean | { readonly keepBytes: number };

/**
 * {@link checkpoint} of a function with several results, of which it must give as many both times. Within `keepBytes` the results
 * of its products and attention are stored all the same, first those that take most work per byte to compute again.
 */
export function checkpointAll(
  fn: (...inputs: Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  { keepBytes = 0 }: { readonly keepBytes?: number } = {},
): readonly Tensor[] {
  if (mode !== 'record') return fn(...inputs);
  const rehearsal = new Rehearsal(keepBytes);
  const results = scope(() => inMode('rehearse', () => rehearsal.during(() => fn(...inputs))));
  const outputs = results.map((result) => (inputs.includes(result) ? result.detach() : result));
  const handles = inputs.map((tensor) => keep(tensor.detach()));
  const pull: Pull = ({ gradient, received, needs }) => {
    const leaves = handles.map((tensor, i) => {
      const leaf = tensor.detach();
      if (needs(i)) leaf.setRequiresGrad(true);
      return leaf;
    });
    const again = enableGrad(() => rehearsal.replay(() => fn(...leaves)));
    // A result of frozen parameters and constants alone has nothing to pass on.
    const roots = again.flatMap((root, i) =>
      root.requiresGrad && received(i) ? [{ root, seed: gradient(i) }] : [],
    );
    runBackwardFrom(roots);
    return leaves.map(takeGrad);
  };
  const saved = [...handles, ...rehearsal.kept];
  attach(new TapeNode('checkpoint', inputs.map(edgeOf), outputs.map(infoOf), saved, pull), outputs);
  return outputs;
}

/** The gradient of a leaf, which loses it: the current scope owns it now. */
export function takeGrad(leaf: Tensor): Tensor | null {
  const gradient = leaf.grad;
  if (gradient) enterScope(gradient);
  leaf.grad = null;
  return gradient;
}

/**
 * Adds d(root)/d(leaf) to `grad` of every leaf with `requiresGrad`. `seed` is the gradient of root itself, 1 for a
 * scalar. Each node is released once the walk has passed it.
 */
export function runBackward(root: Tensor, seed?: Tensor): void {
  const start = edgeOf(root);
  if (!start) {
    throw new ArgumentError({
      where: 'backward',
      what: 'this tensor does not depend on anything that requires gradients',
      hint: 'Check requiresGrad of the parameters, and that the forward pass did not run inside noGrad().',
    });
  }
  if (!seed && root.size !== 1) {
    throw new ShapeError({
      where: 'backward',
      what: 'only a scalar has an implicit gradient',
      got: formatShape(root.shape),
      hint: 'Reduce it with sum() or mean(), or pass the gradient of the output.',
    });
  }
  if (seed && !sameShape(seed.shape, root.shape)) {
    throw new ShapeError({
      where: 'backward',
      what: 'the gradient does not have the shape of the output',
      got: formatShape(seed.shape),
      expected: formatShape(root.shape),
    });
  }
  scope(() => runBackwardFrom([{ root, seed: seed ?? fill(root, 1, root.backend) }]));
}

/** One walk for several roots that share parts of the tape; all depend on something that requires gradients. */
function runBackwardFrom(roots: readonly { readonly root: Tensor; readonly seed: Tensor }[]): void {
  noGrad(() => {
    const starts = roots.map(({ root, seed }) => {
      const start = edgeOf(root) as NonNullable<Edge>;
      scope(() => passOn(start, seed));
      return start;
    });
    const nodes = starts.flatMap((start) => ('node' in start ? [start.node] : []));
    for (const node of reachable(nodes)) node.walk();
  });
}

function reachable(starts: readonly TapeNode[]): TapeNode[] {
  const nodes = new Set(starts);
  for (const node of nodes) for (const next of node.reaches()) nodes.add(next);
  return [...nodes].sort((a, b) => b.id - a.id);
}
