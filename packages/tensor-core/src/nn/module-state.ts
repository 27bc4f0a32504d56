import { PackedTensor, Tensor } from '../index.js';
import { Buffer, type Module, Parameter } from './module.js';

/**
 * Remembers what the forward pass of a module can depend on: which modules, tensors, numbers and functions its fields
 * hold, all the way down, and the values of parameters. What a look back costs is objects that no cache holds any more:
 * after a step of a model these are some 100 ns each.
 */
export class ModuleState {
  private readonly owners: object[] = [];
  private readonly keys: PropertyKey[] = [];
  private readonly values: unknown[] = [];

  constructor(root: Module) {
    for (const [, module] of root.namedModules()) {
      // A hook hides the method of the class.
      this.remember(module, 'forward');
      for (const value of this.rememberAll(module)) this.look(value);
    }
  }

  /** Whether all fields still hold what they held. */
  get isUnchanged(): boolean {
    const { owners, keys, values } = this;
    for (let i = 0; i < owners.length; i++)
      if ((owners[i] as Record<PropertyKey, unknown>)[keys[i]] !== values[i]) return false;
    return true;
  }

  /** One level into what modules hold: lists, options, helpers that are no modules. */
  private look(value: unknown): void {
    if (isTrained(value)) this.rememberValue(value);
    else if (value instanceof Map || value instanceof Set) this.remember(value, 'size');
    else if (Array.isArray(value)) {
      this.remember(value, 'length');
      for (const item of this.rememberAll(value)) if (isTrained(item)) this.rememberValue(item);
    } else if (isHelper(value)) this.rememberAll(value);
  }

  /** Copies in another dtype follow a parameter that changes in place, so its version counts as well. */
  private rememberValue(holder: Parameter | Buffer): void {
    this.remember(holder, 'value');
    if (holder instanceof Parameter) this.remember(holder.value.storage, 'version');
  }

  private rememberAll(owner: object): unknown[] {
    return Object.keys(owner).map((key) => this.remember(owner, key));
  }

  private remember(owner: object, key: PropertyKey): unknown {
    const value = (owner as Record<PropertyKey, unknown>)[key];
    if (Number.isNaN(value)) return value; // not even equal to itself
    this.owners.push(owner);
    this.keys.push(key);
    this.values.push(value);
    return value;
  }
}

function isTrained(value: unknown): value is Parameter | Buffer {
  return value instanceof Parameter || value instanceof Buffer;
}

/**
 * Modules are walked by themselves; tensors and arrays of numbers count by identity, packed tensors as well: when they
 * change their layout, they free what a recording reads.
 */
function isHelper(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  return !(
    value instanceof Tensor ||
    value instanceof PackedTensor ||
    ArrayBuffer.isView(value) ||
    'namedModules' in value
  );
}
