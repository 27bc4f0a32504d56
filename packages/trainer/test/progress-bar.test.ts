import { describe, expect, it } from 'vitest';
import { progressBar, renderProgress, type StepEvent } from '../src/index.js';

function event(step: number, changes: Partial<StepEvent> = {}): StepEvent {
  const numbers = {
    loss: 3,
    smoothedLoss: 3.2144,
    learningRate: 0.01,
    gradientNorm: 1,
    tokens: 100,
    tokensPerSecond: 18_240,
  };
  return {
    type: 'step',
    step,
    steps: 1024,
    ...numbers,
    seconds: 42,
    secondsLeft: 63.4,
    skipped: false,
    ...changes,
  };
}

function record(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  return { written, stream: { isTTY, columns, write: (text: string) => void written.push(text) } };
}

describe('renderProgress', () => {
  it('tells step, loss, speed and time left on one line', () => {
    expect(renderProgress(event(512), 'teacher')).toBe(
      'teacher ━━━━━━━━━━━━────────────   512/1024  loss 3.214  18.2k tok/s  1:03 left',
    );
    expect(renderProgress(event(1024, { tokensPerSecond: 950, seconds: 3723 }))).toBe(
      '━━━━━━━━━━━━━━━━━━━━━━━━  1024/1024  loss 3.214  950 tok/s  1:02:03 in all',
    );
  });

  it('draws the losses of the run where there is room', () => {
    const losses = Array.from({ length: 24 }, (_, i) => 24 - i);
    const line = renderProgress(event(512), '', 120, losses);
    expect(line).toMatch(/1:03 left {2}█[▁-█]{22}▁$/);
    expect(renderProgress(event(512), '', 90, losses)).toMatch(/1:03 left {2}[▁-█]{12,}$/);
    expect(renderProgress(event(512), '', 75, losses)).toMatch(/1:03 left$/);
  });

  it('fits into narrow terminals', () => {
    for (const width of [100, 70, 60, 30, 5, 0])
      expect(renderProgress(event(7), 'teacher', width, [3, 2, 1]).length).toBeLessThanOrEqual(width);
    expect(renderProgress(event(512), '', 55)).toContain('━');
  });
});

describe('progressBar', () => {
  it('redraws one line on a terminal and ends with the last step', () => {
    const { written, stream } = record(true);
    const bar = progressBar({ stream });
    bar.update(event(1));
    bar.update(event(2)); // too soon to be drawn
    bar.close();
    expect(written).toHaveLength(3);
    expect(written[0]).toMatch(/^\r─+.* 1\/1024 .* left.\[K$/);
    expect(written[1]).toMatch(/ 2\/1024 /);
    expect(written[2]).toBe('\n');
  });

  it('writes few plain lines elsewhere', () => {
    const { written, stream } = record(false);
    const bar = progressBar({ label: 'student', stream });
    for (let step = 1; step <= 1000; step++) bar.update(event(step, { steps: 1000 }));
    bar.update({ type: 'checkpoint', step: 1000, path: 'somewhere' });
    bar.close();
    expect(written).toHaveLength(11);
    expect(written.every((line) => /^student .*\n$/.test(line))).toBe(true);
  });

  it('stays silent without steps', () => {
    const { written, stream } = record(true);
    progressBar({ stream }).close();
    expect(written).toEqual([]);
  });
});
