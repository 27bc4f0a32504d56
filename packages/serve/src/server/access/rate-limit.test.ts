import { describe, expect, it } from 'vitest';
import { ClientMeter } from './rate-limit.js';

describe('ClientMeter', () => {
  it('lets a burst through, then an even flow', () => {
    const meter = new ClientMeter({ requestsPerMinute: 6 });
    for (let i = 5; i >= 0; i--) {
      expect(meter.begin(1000)).toEqual({ limit: 6, remaining: i, reset: (6 - i) * 10_000, refusal: null });
    }
    expect(meter.begin(1000).refusal).toEqual({ reason: 'rate', after: 10_000 });
    expect(meter.begin(6000).refusal).toEqual({ reason: 'rate', after: 5000 });
    expect(meter.begin(11_000).refusal).toBeNull();
    expect(meter.begin(11_000).refusal).toEqual({ reason: 'rate', after: 10_000 });
    expect(meter.begin(1_000_000).remaining).toBe(5);
  });

  it('counts what is running, and takes nothing for what it refuses', () => {
    const meter = new ClientMeter({ concurrentRequests: 2, requestsPerMinute: 10 });
    meter.begin(0);
    meter.begin(0);
    expect(meter.begin(0)).toMatchObject({ remaining: 8, refusal: { reason: 'concurrency' } });
    meter.end();
    expect(meter.begin(0)).toMatchObject({ remaining: 7, refusal: null });
  });

  it('counts each answer of a request', () => {
    const meter = new ClientMeter({ concurrentRequests: 4, requestsPerMinute: 6 });
    meter.begin(0);
    expect(meter.widen(3)).toBe(true);
    expect(meter.begin(0).refusal?.reason).toBe('concurrency');
    meter.end(4);
    meter.begin(0);
    expect(meter.widen(3)).toBe(true); // six a minute: two are owed
    meter.end(4);
    expect(meter.begin(0)).toMatchObject({ remaining: 0, refusal: { reason: 'rate', after: 30_000 } });
    expect(meter.widen(5)).toBe(false);
  });

  it('has no limits by default', () => {
    const meter = new ClientMeter({});
    for (let i = 0; i < 1000; i++) {
      expect(meter.begin(0)).toEqual({ limit: null, remaining: 0, reset: 0, refusal: null });
    }
  });
});
