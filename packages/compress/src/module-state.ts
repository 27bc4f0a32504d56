import { type DType, fromBytes, noGrad, PackedTensor, type Tensor } from '@frugal/tensor-core';
import {
  type ActivationFormat,
  isLinearLike,
  Linear,
  type Module,
  PackedEmbedding,
  PackedLinear,
  Parameter,
} from '@frugal/tensor-core/nn';

/** One tensor on the host, as it lies in a file. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

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
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Copies what modules hold to the host, by path; modules that hold nothing themselves are left out. */
export async function captureModules(
  modules: Iterable<readonly [path: string, module: Module]>,
): Promise<Map<string, ModuleState>> {
  const states = new Map<string, ModuleState>();
  const paths = new Map<PackedTensor, string>();
  for (const [path, module] of modules) {
    const packed = packedWeightOf(module);
    const state = await captureModule(module, packed ? paths.get(packed) : undefined);
    if (state) states.set(path, state);
    if (packed && !paths.has(packed)) paths.set(packed, path);
  }
  return states;
}

async function captureModule(module: Module, sameAs: string | undefined): Promise<ModuleState | null> {
  const tensors = new Map<string, StoredTensor>();
  const capture = async (name: string, tensor: Tensor) => {
    const { dtype, shape } = tensor;
    tensors.set(name, { dtype, shape, bytes: await tensor.bytes() });
  };
  for (const [name, member] of module.members()) if (!isModule(member)) await capture(name, member.value);
  const packed = packedWeightOf(module);
  if (packed && !sameAs) {
    const standard = noGrad(() => packed.standard());
    for (const [i, part] of standard.parts.entries()) await capture(`weight.${i}`, part);
    standard.dispose();
  }
  if (!packed) return tensors.size > 0 ? { tensors } : null;
  const kind = isLinearLike(module) ? 'linear' : 'embedding';
  const activation = isLinearLike(module) ? module.activation : null;
  return { packed: { kind, format: packed.format, shape: packed.shape, activation, sameAs }, tensors };
}

/**
 * Gives the modules of a model the states that were captured: other values, or packed layers in their place.
 * @returns the modules that were replaced
 */
export function restoreModules(model: Module, states: ReadonlyMap<string, ModuleState>): Module[] {
  const replaced: Module[] = [];
  for (const [path, state] of states) {
    const current = model.module(path);
    if (!state.packed && hasAll(current, state)) {
      restoreValues(current, state);
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

/** An expert is a view of its stack, which holds its values, until a method gives it a matrix of its own. */
function hasAll(module: Module, { tensors }: ModuleState): boolean {
  const members = new Map(module.members());
  return [...tensors.keys()].every((name) => members.has(name));
}

function ownMatrix({ tensors }: ModuleState): Module {
  const [weight, bias = null] = ['weight', 'bias'].map((name) => {
    const stored = tensors.get(name);
    return stored && fromBytes(stored.bytes, stored);
  });
  return new Linear(weight as Tensor, bias);
}

function restoreValues(module: Module, { tensors }: ModuleState): void {
  for (const [name, member] of module.members()) {
    const stored = tensors.get(name);
    if (!isModule(member) && stored) member.value = fromBytes(stored.bytes, stored);
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
  return new PackedLinear(weight, {
    bias: bias ? new Parameter(fromBytes(bias.bytes, bias)) : null,
    activation,
  });
}

/** In the order of the format: a file lists its tensors in another one. */
function packedParts(tensors: ModuleState['tensors']): Tensor[] {
  const parts: Tensor[] = [];
  for (;;) {
    const part = tensors.get(`weight.${parts.length}`);
    if (!part) return parts;
    parts.push(fromBytes(part.bytes, part));
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
