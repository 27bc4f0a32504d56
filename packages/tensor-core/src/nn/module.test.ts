import { describe, expect, it } from 'vitest';
import { ArgumentError, memoryUsage, ones, PackedTensor, Random, scope, tensor } from '../index.js';
import { GatedMLP } from './gated-mlp.js';
import { Linear, PackedLinear } from './linear.js';
import { Buffer, Module, Parameter } from './module.js';

class Stack extends Module {
  readonly embed = new Parameter(ones([4, 2]));
  readonly bias = new Buffer(ones([3]));
  readonly blocks: Module[];
  readonly head: Linear;

  constructor() {
    super();
    const random = new Random(1);
    const linear = () => Linear.init(2, 2, { random });
    this.blocks = [0, 1].map(() => new GatedMLP(linear(), linear(), linear()));
    this.head = new Linear(this.embed);
  }
}

describe('Module', () => {
  it('names parameters by fields and indices, tied ones once', () => {
    const paths = [...new Stack().namedParameters()].map(([path]) => path);
    const mlp = (i: number) => ['gate', 'up', 'down'].map((name) => `blocks.${i}.${name}.weight`);
    expect(paths).toEqual(['embed', ...mlp(0), ...mlp(1)]);
    expect([...new Stack().namedBuffers()].map(([path]) => path)).toEqual(['bias']);
  });

  it('finds and replaces modules by path', () => {
    const stack = new Stack();
    const replacement = Linear.init(2, 2, { random: new Random(2) });
    const old = stack.module('blocks.1.down');
    expect(stack.replace('blocks.1.down', replacement)).toBe(old);
    expect(stack.module('blocks.1.down')).toBe(replacement);
    const block = stack.replace('blocks.0', replacement);
    expect(stack.blocks[0]).toBe(replacement);
    expect(block).toBeInstanceOf(GatedMLP);
  });

  it('names what exists when a path is wrong', () => {
    expect(() => new Stack().module('blocks.1.middle')).toThrow(ArgumentError);
    expect(() => new Stack().module('blocks.1.middle')).toThrow(/gate, up, down/);
    expect(() => new Stack().module('blocks.7')).toThrow(/blocks\.0, blocks\.1, head/);
  });

  it('frees everything it holds', () => {
    const before = memoryUsage().storages;
    const stack = new Stack();
    stack.head
      .forward(tensor([[1, 2]]))
      .sum()
      .backward();
    const now = memoryUsage().storages;
    expect(now).toBeGreaterThan(before);
    stack.dispose();
    expect(stack.embed.value.disposed).toBe(true);
    expect(stack.embed.gradient).toBeNull();
  });

  it('a parameter survives being given its own value', async () => {
    const parameter = new Parameter(ones([2]));
    parameter.value = parameter.value.cast('f32');
    expect([...(await parameter.value.toFloat32())]).toEqual([1, 1]);
  });

  it('packed layers outlive the scope that made them; packed tensors do when returned', async () => {
    const before = memoryUsage().storages;
    const pack = () => PackedTensor.pack('int8-channel', Float32Array.of(1, 2), [1, 2]);
    const { layer, packed } = scope(() => {
      pack();
      return { layer: new PackedLinear(pack()), packed: pack() };
    });
    expect([...(await layer.forward(ones([1, 2])).toFloat32())][0]).toBeCloseTo(3, 1);
    expect(packed.unpack().shape).toEqual([1, 2]);
    expect(memoryUsage().storages - before).toBe(2 * 2 + 3); // two packed of two parts, and three results
  });

  it('frozen parameters collect no gradient', () => {
    const linear = Linear.init(2, 2, { random: new Random(1) });
    const other = Linear.init(2, 2, { random: new Random(2) });
    linear.weight.trainable = false;
    other
      .forward(linear.forward(tensor([[1, 2]])))
      .sum()
      .backward();
    expect(linear.weight.gradient).toBeNull();
    expect(other.weight.gradient).not.toBeNull();
  });
});
