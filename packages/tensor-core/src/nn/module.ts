import {
  ArgumentError,
  type FloatDType,
  isFloating,
  keep,
  noGrad,
  type Shape,
  type Tensor,
} from '../index.js';

/** A trained tensor of a module. The value is a leaf of the tape; optimizers change it in place. */
export class Parameter {
  private tensor: Tensor;
  private isTrainable: boolean;
  private copy: { readonly value: Tensor; readonly version: number } | null = null;

  constructor(value: Tensor, { trainable = true } = {}) {
    this.tensor = keep(value);
    this.isTrainable = trainable && isFloating(value.dtype);
    value.setRequiresGrad(this.isTrainable);
  }

  get value(): Tensor {
    return this.tensor;
  }
  /** Replaces the value (another dtype, size or backend); the old one and its gradient are disposed. */
  set value(next: Tensor) {
    if (next === this.tensor) return; // cast() to the same dtype gives the tensor itself
    this.clearGradient();
    this.clearCopy();
    this.tensor.dispose();
    this.tensor = keep(next).setRequiresGrad(this.isTrainable && isFloating(next.dtype));
  }
  get shape(): Shape {
    return this.tensor.shape;
  }
  get trainable(): boolean {
    return this.isTrainable;
  }
  /** Frozen parameters collect no gradients. */
  set trainable(trainable: boolean) {
    this.isTrainable = trainable;
    this.tensor.setRequiresGrad(trainable && isFloating(this.tensor.dtype));
  }

  /**
   * The value rounded to another dtype, without gradient; made once and kept until the value changes, so that a step
   * that uses it often rounds it once.
   */
  rounded(dtype: FloatDType): Tensor {
    const { version } = this.tensor.storage;
    if (this.copy?.version === version && this.copy.value.dtype === dtype) return this.copy.value;
    this.clearCopy();
    this.copy = { value: keep(noGrad(() => this.tensor.cast(dtype)).detach()), version };
    return this.copy.value;
  }
  /** The rounded copy, if there is one and it is up to date: whoever changes the value may write it as well … */
  get roundedCopy(): Tensor | null {
    return this.copy?.version === this.tensor.storage.version ? this.copy.value : null;
  }
  /** … and then says so. */
  copyWasWritten(): void {
    if (this.copy) this.copy = { value: this.copy.value, version: this.tensor.storage.version };
  }
  clearCopy(): void {
    this.copy?.value.dispose();
    this.copy = null;
  }

  /** The gradient that backward() left, or null. */
  get gradient(): Tensor | null {
    return this.tensor.grad;
  }
  clearGradient(): void {
    this.tensor.grad?.dispose();
    this.tensor.grad = null;
  }
}

/** A saved tensor without gradient: a router's balancing bias, observed ranges. */
export class Buffer {
  private tensor: Tensor;

  constructor(value: Tensor) {
    this.tensor = keep(value);
  }
  get value(): Tensor {
    return this.tensor;
  }
  set value(next: Tensor) {
    if (next === this.tensor) return;
    this.tensor.dispose();
    this.tensor = keep(next);
  }
  get shape(): Shape {
    return this.tensor.shape;
  }
}

type Member = Module | Parameter | Buffer;

/**
 * A part of a model. Its parameters, buffers and submodules are its own fields, and arrays of them; paths such as
 * `blocks.3.mlp.down` join the field names and are stable API, because recipes target them.
 */
export abstract class Module {
  /** Own members by field name; array items get their index. */
  *members(): Iterable<readonly [name: string, member: Member]> {
    for (const [name, value] of Object.entries(this)) {
      if (isMember(value)) yield [name, value];
      else if (Array.isArray(value)) {
        for (const [i, item] of value.entries()) if (isMember(item)) yield [`${name}.${i}`, item];
      }
    }
  }

  /** This module and all below it, depth first, each once, with its path ('' for this one). */
  *namedModules(prefix = '', seen = new Set<Module>()): Iterable<readonly [path: string, module: Module]> {
    if (seen.has(this)) return;
    seen.add(this);
    yield [prefix, this];
    for (const [name, member] of this.members()) {
      if (member instanceof Module) yield* member.namedModules(join(prefix, name), seen);
    }
  }

  /** Parameters with their paths, each once: a tied one under the path that comes first. */
  namedParameters(): Iterable<readonly [path: string, parameter: Parameter]> {
    return this.named(Parameter);
  }
  namedBuffers(): Iterable<readonly [path: string, buffer: Buffer]> {
    return this.named(Buffer);
  }

  private *named<T extends Parameter | Buffer>(
    kind: new (...args: never[]) => T,
  ): Iterable<readonly [string, T]> {
    const seen = new Set<T>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, member] of module.members()) {
        if (!(member instanceof kind) || seen.has(member)) continue;
        seen.add(member);
        yield [join(path, name), member];
      }
    }
  }

  parameters(): Parameter[] {
    return [...this.namedParameters()].map(([, parameter]) => parameter);
  }

  /** The module at a path. @throws ArgumentError with the names that exist there */
  module(path: string): Module {
    let current: Module = this;
    for (const [parent, name] of steps(path)) {
      const members = new Map([...current.members()].filter(([, member]) => member instanceof Module));
      const next = members.get(name);
      if (!(next instanceof Module)) {
        throw new ArgumentError({
          where: 'module',
          what: `no module at '${path}'`,
          got: `'${name}' in '${parent}'`,
          expected: [...members.keys()].join(', ') || 'no submodules there',
        });
      }
      current = next;
    }
    return current;
  }

  /** Puts another module in the place of the one at `path`; returns the old one. */
  replace(path: string, replacement: Module): Module {
    const old = this.module(path);
    const all = [...steps(path)];
    const [parent, name] = all[all.length - 1];
    const owner = this.module(parent) as unknown as Record<string, unknown>;
    const [field, index] = name.split('.');
    if (index === undefined) owner[field] = replacement;
    else (owner[field] as Module[])[Number(index)] = replacement;
    return old;
  }

  /** Frees all parameters and buffers. */
  dispose(): void {
    for (const [, parameter] of this.namedParameters()) {
      parameter.clearGradient();
      parameter.clearCopy();
      parameter.value.dispose();
    }
    for (const [, buffer] of this.namedBuffers()) buffer.value.dispose();
  }
}

function isMember(value: unknown): value is Member {
  return value instanceof Module || value instanceof Parameter || value instanceof Buffer;
}

function join(prefix: string, name: string): string {
  return prefix ? `${prefix}.${name}` : name;
}

/** `blocks.3.mlp` → ['', 'blocks.3'], ['blocks.3', 'mlp']: indices belong to the field before them. */
function* steps(path: string): Iterable<readonly [parent: string, name: string]> {
  const names = path === '' ? [] : path.split('.');
  let parent = '';
  for (let i = 0; i < names.length; i++) {
    const indexed = i + 1 < names.length && /^\d+$/.test(names[i + 1]);
    const name = indexed ? `${names[i]}.${names[++i]}` : names[i];
    yield [parent, name];
    parent = join(parent, name);
  }
}
