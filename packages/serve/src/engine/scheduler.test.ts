import { describe, expect, it } from 'vitest';
import { Scheduler, share } from './scheduler.js';

const limits = { pages: 10, pageSize: 16, maxRunning: 4, maxWaiting: 3, tokensPerStep: 32 };
const request = (pending: number, longest = 16) => ({ pending, longest });

describe('Scheduler', () => {
  it('admits in order and only what fits whole', () => {
    const scheduler = new Scheduler(limits);
    const [a, large, small] = [request(8, 80), request(8, 96), request(8, 16)];
    for (const each of [a, large, small]) scheduler.enqueue(each);
    expect(scheduler.admit()).toEqual([a]);
    expect(scheduler.waiting).toEqual([large, small]);
    expect(scheduler.reservedPages).toBe(5);
    scheduler.remove(a);
    expect(scheduler.admit()).toEqual([large, small]);
    expect(scheduler.reservedPages).toBe(7);
  });

  it('runs no more requests than allowed', () => {
    const scheduler = new Scheduler(limits);
    for (let i = 0; i < 6; i++) scheduler.enqueue(request(1));
    expect(scheduler.admit()).toHaveLength(4);
    expect(scheduler.waiting).toHaveLength(2);
  });

  it('says when the queue is full', () => {
    const scheduler = new Scheduler(limits);
    for (let i = 0; i < 3; i++) {
      expect(scheduler.isFull).toBe(false);
      scheduler.enqueue(request(1));
    }
    expect(scheduler.isFull).toBe(true);
  });

  it('gives every decoding request its row and shares the rest among prompts', () => {
    const scheduler = new Scheduler(limits);
    const [long, decoding, short] = [request(100), request(1), request(5)];
    for (const each of [long, decoding, short]) scheduler.enqueue(each);
    scheduler.admit();
    expect(scheduler.plan()).toEqual([
      { request: decoding, count: 1 },
      { request: long, count: 26 },
      { request: short, count: 5 },
    ]);
  });

  it('forgets removed requests, waiting or running', () => {
    const scheduler = new Scheduler(limits);
    const [a, b] = [request(1), request(1)];
    scheduler.enqueue(a);
    scheduler.admit();
    scheduler.enqueue(b);
    scheduler.remove(a);
    scheduler.remove(b);
    scheduler.remove(b);
    expect(scheduler.isIdle).toBe(true);
    expect(scheduler.reservedPages).toBe(0);
  });
});

describe('share', () => {
  it.each([
    [[10, 10], 10, [5, 5]],
    [[2, 50, 3], 20, [2, 15, 3]],
    [[1, 1, 1], 2, [0, 1, 1]],
    [[], 5, []],
    [[4], 0, [0]],
  ])('divides %j by %i into %j', (demands, budget, expected) => {
    expect(share(demands, budget)).toEqual(expected);
  });
});
