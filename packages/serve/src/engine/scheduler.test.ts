import { describe, expect, it } from 'vitest';
import { Scheduler, share } from './scheduler.js';

const limits = { maxRunning: 4, maxWaiting: 3, tokensPerStep: 32 };
const request = (pending: number, priority = 0) => ({ pending, isPrompt: pending > 1, priority });
type Request = ReturnType<typeof request>;

function schedulerOf(requests: readonly Request[], room = Number.POSITIVE_INFINITY) {
  const scheduler = new Scheduler<Request>(limits);
  const stopped: Request[] = [];
  for (const each of requests) scheduler.enqueue(each);
  const free = () => room - scheduler.running.reduce((sum, { pending }) => sum + pending, 0);
  const admit = () =>
    scheduler.admit(
      ({ pending }) => pending <= free(),
      (each) => void stopped.push(each),
    );
  admit();
  return { scheduler, stopped, admit };
}

describe('Scheduler', () => {
  it('admits in order and only while there is room', () => {
    const [a, large, small] = [request(5), request(6), request(1)];
    const { scheduler, admit } = schedulerOf([a, large, small], 10);
    expect(scheduler.running).toEqual([a]);
    expect(scheduler.waiting).toEqual([large, small]);
    scheduler.remove(a);
    admit();
    expect(scheduler.running).toEqual([large, small]);
  });

  it('runs no more requests than allowed', () => {
    const { scheduler } = schedulerOf(Array.from({ length: 6 }, () => request(1)));
    expect(scheduler.running).toHaveLength(4);
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

  it('gives every writing request its rows and shares the rest among prompts', () => {
    const [long, writing, short] = [request(100), request(1), request(5)];
    const guessing = { pending: 4, isPrompt: false, priority: 0 };
    const { scheduler } = schedulerOf([long, writing, short, guessing]);
    expect(scheduler.plan()).toEqual([
      { request: writing, count: 1 },
      { request: guessing, count: 4 },
      { request: long, count: 22 },
      { request: short, count: 5 },
    ]);
  });

  it('sends the last one back to its old place', () => {
    const [a, b, c] = [request(1), request(2), request(3)];
    const { scheduler, stopped } = schedulerOf([a, b], 3);
    scheduler.enqueue(c);
    scheduler.preempt((each) => void stopped.push(each));
    expect(stopped).toEqual([b]);
    expect(scheduler.waiting).toEqual([b, c]);
    expect(scheduler.running).toEqual([a]);
  });

  it('lets higher priorities pass, in the queue and in the batch', () => {
    const [low, middle, high] = [request(4, -1), request(4), request(8, 5)];
    const { scheduler, stopped, admit } = schedulerOf([low, middle], 9);
    scheduler.enqueue(high);
    expect(scheduler.running).toEqual([middle, low]);
    admit();
    expect(stopped).toEqual([low, middle]);
    expect(scheduler.running).toEqual([high]);
    expect(scheduler.waiting).toEqual([middle, low]);
  });

  it('forgets removed requests, waiting or running', () => {
    const [a, b] = [request(1), request(1)];
    const { scheduler } = schedulerOf([a]);
    scheduler.enqueue(b);
    scheduler.remove(a);
    scheduler.remove(b);
    scheduler.remove(b);
    expect(scheduler.isIdle).toBe(true);
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
