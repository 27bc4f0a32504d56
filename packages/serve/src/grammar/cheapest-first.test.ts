import { expect, it } from 'vitest';
import { CheapestFirst } from './cheapest-first.js';

it('gives items in the order of their costs, while others come', () => {
  const queue = new CheapestFirst();
  let state = 3;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % 100;
  };
  const held: number[] = [];
  for (let turn = 0; turn < 2000; turn++) {
    if (turn < 1000 || draw() < 30) {
      const cost = draw();
      queue.add(cost, cost);
      held.push(cost);
    } else {
      held.sort((a, b) => a - b);
      expect(queue.take()).toBe(held.shift());
    }
  }
  for (const cost of held.sort((a, b) => a - b)) expect(queue.take()).toBe(cost);
  expect(queue.take()).toBeUndefined();
});
