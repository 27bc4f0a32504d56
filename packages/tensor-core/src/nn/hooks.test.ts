import { expect, it } from 'vitest';
import { Random, type Tensor, tensor } from '../index.js';
import { beforeForward, onForward } from './hooks.js';
import { Linear } from './linear.js';

it('sees inputs and outputs until it is disposed, and leaves no trace', async () => {
  const layer = Linear.init(2, 3, { random: new Random(1) });
  const x = tensor([[1, 2]]);
  const seen: [string, Tensor, Tensor][] = [];
  const first = onForward(layer, ([input], output) => seen.push(['first', input, output]));
  const second = onForward(layer, ([input], output) => seen.push(['second', input, output]));
  const y = layer.forward(x);
  expect(seen).toEqual([
    ['first', x, y],
    ['second', x, y],
  ]);
  expect([...layer.namedParameters()].map(([path]) => path)).toEqual(['weight']);
  second[Symbol.dispose]();
  layer.forward(x);
  expect(seen.length).toBe(3);
  first[Symbol.dispose]();
  layer.forward(x);
  expect(seen.length).toBe(3);
  expect(Object.hasOwn(layer, 'forward')).toBe(false);
});

it('a hook before sees the inputs, and can keep the pass from coming about', () => {
  const layer = Linear.init(2, 3, { random: new Random(1) });
  const x = tensor([[1, 2]]);
  const seen: string[] = [];
  const after = onForward(layer, () => void seen.push('after'));
  const before = beforeForward(layer, ([input]) => {
    seen.push(input === x ? 'before' : 'another');
    if (seen.length > 2) throw new Error('enough');
  });
  expect(layer.forward(x).shape).toEqual([1, 3]);
  expect(() => layer.forward(x)).toThrow('enough');
  expect(seen).toEqual(['before', 'after', 'before']);
  before[Symbol.dispose]();
  after[Symbol.dispose]();
  expect(Object.hasOwn(layer, 'forward')).toBe(false);
});
