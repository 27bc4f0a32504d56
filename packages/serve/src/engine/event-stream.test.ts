import { describe, expect, it } from 'vitest';
import { EventStream } from './event-stream.js';

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe('EventStream', () => {
  it('keeps what came before the consumer', async () => {
    const stream = new EventStream<number>();
    stream.push(1);
    stream.push(2);
    stream.end();
    stream.push(3);
    expect(await collect(stream)).toEqual([1, 2]);
  });

  it('wakes a waiting consumer', async () => {
    const stream = new EventStream<number>();
    const all = collect(stream);
    await null;
    stream.push(1);
    await null;
    stream.push(2);
    stream.end();
    expect(await all).toEqual([1, 2]);
  });

  it('delivers events, then the error', async () => {
    const stream = new EventStream<number>();
    stream.push(1);
    stream.fail(new Error('lost'));
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const item of stream) seen.push(item);
      })(),
    ).rejects.toThrow('lost');
    expect(seen).toEqual([1]);
  });

  it('tells when the consumer leaves early, and only then', async () => {
    let left = 0;
    const early = new EventStream<number>(() => left++);
    early.push(1);
    for await (const _ of early) break;
    expect(left).toBe(1);
    const whole = new EventStream<number>(() => left++);
    whole.end();
    await collect(whole);
    expect(left).toBe(1);
  });

  it('lets a waiting consumer go at once', async () => {
    let left = 0;
    const stream = new EventStream<number>(() => left++);
    const iterator = stream[Symbol.asyncIterator]();
    const waiting = iterator.next();
    await iterator.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
    stream.push(1);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(left).toBe(1);
  });
});
