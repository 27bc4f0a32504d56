import { keep, noGrad, PackedTensor, type Tensor } from '@frugal/tensor-core';
import {
  type ActivationFormat,
  type Buffer,
  isLinearLike,
  Linear,
  type Module,
  PackedEmbedding,
  PackedLinear,
  Parameter,
} from '@frugal/tensor-core/nn';

/** What a module holds itself, without the modules below it. */
export interface ModuleState {
  /** Set for packed weights. */
  readonly packed?: {
    readonly kind: 'linear' | 'embedding';
    readonly format: string;
    readonly shape: readonly [number, number];
    readonly activation: ActivationFormat | null;
    /** Path of a module that holds the very same matrix (a tied head): the parts are stored there. */
    readonly sameAs?: string | undefined;
  };
  /** Values by the names of the module's members, parts of a packed weight as `weight.0`, `weight.1`, … */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/**
 * What modules hold, by path: handles of their values, for {@link disposeStates}. What two modules share (a tied head) is
 * with the first; modules that hold nothing themselves are left out.
 */
export function captureModules(
  modules: Iterable<readonly [path: string, module: Module]>,
): Map<string, ModuleState> {
  const states = new Map<string, ModuleState>();
  const captured = new Set<Parameter | Buffer>();
  const paths = new Map<PackedTensor, string>();
  for (const [path, module] of modules) {
    const packed = packedWeightOf(module);
    const state = captureModule(module, captured, packed ? paths.get(packed) : undefined);
    if (state) states.set(path, state);
    if (packed && !paths.has(packed)) paths.set(packed, path);
  }
  return states;
}

/** Frees the handles of states that were captured. */
export function disposeStates(states: ReadonlyMap<string, ModuleState>): void {
  for (const { tensors } of states.values()) for (const tensor of tensors.values()) tensor.dispose();
}

function captureModule(
  module: Module,
  captured: Set<Parameter | Buffer>,
  sameAs: string | undefined,
): ModuleState | null {
  const tensors = new Map<string, Tensor>();
  for (const [name, member] of module.members()) {
    if (isModule(member) || captured.has(member)) continue;
    captured.add(member);
    tensors.set(name, keep(member.value.detach()));
  }
  const packed = packedWeightOf(module);
  if (!packed) return tensors.size > 0 ? { tensors } : null;
  if (!sameAs) {
    const { parts } = keep(noGrad(() => packed.standard()));
    for (const [i, part] of parts.entries()) tensors.set(`weight.${i}`, part);
  }
  const kind = isLinearLike(module) ? 'linear' : 'embedding';
  const activation = isLinearLike(module) ? module.activation : null;
  return { packed: { kind, format: packed.format, shape: packed.shape, activation, sameAs }, tensors };
}

/**
 * Gives the modules of a model the states that were captured, and takes their tensors over: other values, or packed layers in
 * their place.
 * @returns the modules that were replaced
 */
export function restoreModules(model: Module, states: ReadonlyMap<string, ModuleState>): Module[] {
  const replaced: Module[] = [];
  const restored = new Set<Parameter | Buffer>();
  for (const [path, state] of states) {
    const current = model.module(path);
    if (!state.packed && hasAll(current, state, restored)) {
      restoreValues(current, state, restored);
      continue;
    }
    const same = state.packed?.sameAs && packedWeightOf(model.module(state.packed.sameAs));
    model.replace(
      path,
      state.packed ? packedModule(state.packed, state.tensors, same || null) : ownMatrix(state),
    );
    replaced.push(current);
  }
  return replaced;
}

/**
 * An expert is a view of its stack, which holds its values, until a method gives it a matrix of its own; a tied head shares its
 * matrix until then.
 */
function hasAll(module: Module, { tensors }: ModuleState, taken: ReadonlySet<Parameter | Buffer>): boolean {
  const members = new Map(module.members());
  return [...tensors.keys()].every((name) => {
    const member = members.get(name);
    return member !== undefined && !isModule(member) && !taken.has(member);
  });
}

function ownMatrix({ tensors }: ModuleState): Module {
  return new Linear(tensors.get('weight') as Tensor, tensors.get('bias') ?? null);
}

function restoreValues(module: Module, { tensors }: ModuleState, restored: Set<Parameter | Buffer>): void {
  for (const [name, member] of module.members()) {
    const stored = tensors.get(name);
    if (isModule(member) || !stored) continue;
    member.value = stored;
    restored.add(member);
  }
}

function packedModule(
  { kind, format, shape, activation }: NonNullable<ModuleState['packed']>,
  tensors: ModuleState['tensors'],
  same: PackedTensor | null,
): Module {
  const weight = same ?? new PackedTensor(format, shape, packedParts(tensors));
  if (kind === 'embedding') return new PackedEmbedding(weight);
  const bias = tensors.get('bias');
  return new PackedLinear(weight, { bias: bias ? new Parameter(bias) : null, activation });
}

/** In the order of the format: a file lists its tensors in another one. */
function packedParts(tensors: ModuleState['tensors']): Tensor[] {
  const parts: Tensor[] = [];
  for (;;) {
    const part = tensors.get(`weight.${parts.length}`);
    if (!part) return parts;
    parts.push(part);
  }
}

export function packedWeightOf(module: Module): PackedTensor | null {
  const { weight } = module as { weight?: unknown };
  return weight instanceof PackedTensor ? weight : null;
}

/** Modules that hold values themselves, or have no modules below them: a stack of experts, and each expert. */
export function* holders(model: Module, prefix = ''): Iterable<readonly [path: string, holder: Module]> {
  for (const [path, module] of model.namedModules()) {
    if (prefix && path !== prefix && !path.startsWith(`${prefix}.`)) continue;
    const members = [...module.members()].map(([, member]) => isModule(member));
    if (members.length === 0 || members.includes(false)) yield [path, module];
  }
}

function isModule(member: object): member is Module {
  return 'members' in member;
}
