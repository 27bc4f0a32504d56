import { describe, expect, it } from 'vitest';
import type { Candidate } from './candidate.js';
import { distinctPairs } from './diversity.js';
import { judgeCandidate } from './judge-candidate.js';
import { runSyntheticLoop, type SyntheticLoopOptions, type SyntheticProgress } from './synthetic-loop.js';

const seed = { id: 'atlas:7', text: 'Lisbon is the capital of Portugal.' };
const candidate = (instruction: string, ...answers: string[]): Candidate => ({ instruction, answers, seed });

describe('judgeCandidate', () => {
  it('keeps the answer that most agree with', () => {
    const verdict = judgeCandidate(
      candidate('What is the capital of Portugal?', 'Porto, of course', 'Lisbon.', ' lisbon '),
    );
    expect(verdict).toEqual({
      keep: { instruction: 'What is the capital of Portugal?', answer: 'Lisbon.', seed: 'atlas:7' },
    });
  });

  it.each([
    [candidate(' ', 'Lisbon'), 'no instruction'],
    [candidate('Which?', '', ' '), 'no answer'],
    [candidate('Which?'), 'no answer'],
    [candidate('Which?', 'Porto', 'Lisbon'), 'answers disagree'],
    [candidate('Which?', 'word '.repeat(500)), 'answer too long'],
    [candidate('What is the capital?', 'What is the capital'), 'repeats the question'],
    [candidate('Which?', 'it is so '.repeat(8)), 'repeats itself'],
    [candidate('哪里？', '的'.repeat(40)), 'repeats itself'],
  ])('%# is refused', (given, reason) => {
    expect(judgeCandidate(given)).toEqual({ reason });
  });
});

it('diversity does not depend on how much text there is', () => {
  const text = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => `${(from + i) % 97} ${(3 * i) % 89}`);
  expect(distinctPairs(text(0, 400), 500)).toBeCloseTo(distinctPairs(text(0, 4000), 500), 10);
  expect(distinctPairs(Array.from({ length: 50 }, () => 'the same again'))).toBeLessThan(0.05);
  expect(distinctPairs(['曹操败走华容道'])).toBe(1);
});

/** A "model" that knows the capitals it was taught, asked about 40 countries; what it writes depends on the writer. */
function laboratory(write: SyntheticLoopOptions<readonly number[]>['write']) {
  const known = new Set<string>();
  const taught: Set<string>[] = [];
  return {
    rounds: 5,
    write,
    train: async (examples: readonly { answer: string }[]) => {
      taught.push(new Set(known));
      for (const { answer } of examples) known.add(answer);
    },
    undo: async () => {
      known.clear();
      for (const name of taught.pop() ?? []) known.add(name);
    },
    measure: async () => Array.from({ length: 40 }, (_, i) => Number(known.has(`City ${i}`))),
    compare: (before: readonly number[], after: readonly number[]) => {
      const gains = after.map((value, i) => value - before[i]);
      const difference = gains.reduce((a, b) => a + b, 0) / gains.length;
      const deviation = Math.sqrt(gains.reduce((sum, g) => sum + (g - difference) ** 2, 0) / gains.length);
      const reach = (1.96 * deviation) / Math.sqrt(gains.length);
      return { difference, low: difference - reach, high: difference + reach };
    },
    known,
  };
}

const asked = (i: number) =>
  candidate(`What is the capital of country number ${i}?`, `City ${i}`, `City ${i}`);

describe('runSyntheticLoop', () => {
  it('goes on while it gains, and stops when its interval is not above zero', async () => {
    const lab = laboratory(async (round) =>
      round <= 2
        ? Array.from({ length: 12 }, (_, i) => asked(12 * (round - 1) + i))
        : Array.from({ length: 12 }, (_, i) => asked(100 + i)),
    );
    const report = await runSyntheticLoop({ ...lab, copies: 1 }); // the questions differ in one word
    expect(report.stopped).toBe('no gain: its interval is not above zero');
    expect(report.rounds.map(({ kept, gain }) => [kept, gain?.difference])).toEqual([
      [true, 0.3],
      [true, 0.3],
      [false, 0],
    ]);
    expect(report.examples).toHaveLength(24);
    expect(lab.known.size).toBe(24); // the third round was undone
  });

  it('stops a degenerate teacher before anything is trained', async () => {
    const evasion = Array.from({ length: 30 }, (_, i) => `word${i}`).join(' ');
    const lab = laboratory(async () =>
      Array.from({ length: 60 }, (_, i) => candidate(`Question ${i}`, evasion, evasion)),
    );
    const report = await runSyntheticLoop({ ...lab, copies: 1 });
    expect(report).toMatchObject({ stopped: 'collapse: too little diversity', examples: [] });
    expect(lab.known.size).toBe(0);
  });

  it('stops when examples become alike, and when real text becomes less likely', async () => {
    const fades = laboratory(async (round) =>
      Array.from({ length: 12 }, (_, i) =>
        round === 1 ? asked(i) : candidate(`Say it for the ${i}th time please`, 'it it it it it it'),
      ),
    );
    const alike = await runSyntheticLoop({ ...fades, copies: 1, rules: { length: [1, 400] } });
    expect(alike.stopped).toMatch(/^collapse|^no gain/);
    let perplexity = 20;
    const strays = laboratory(async (round) =>
      Array.from({ length: 12 }, (_, i) => asked(12 * (round - 1) + i)),
    );
    const report = await runSyntheticLoop({ ...strays, perplexity: async () => (perplexity *= 1.04) });
    expect(report.stopped).toBe('collapse: perplexity of real text rose');
    expect(report.rounds.map(({ kept }) => kept)).toEqual([true, false]);
    expect(strays.known.size).toBe(12);
  });

  it('goes on after an interruption as if there had been none', async () => {
    const write = async (round: number) => Array.from({ length: 12 }, (_, i) => asked(12 * (round - 1) + i));
    const whole = await runSyntheticLoop({ ...laboratory(write), rounds: 3, copies: 1 });
    expect(whole.rounds.map(({ kept }) => kept)).toEqual([true, true, true]);
    const cut = laboratory(write);
    let saved: SyntheticProgress | undefined;
    const run = runSyntheticLoop({
      ...cut,
      rounds: 3,
      copies: 1,
      onRound: async ({ round }, progress) => {
        saved = JSON.parse(JSON.stringify(progress));
        if (round === 2) throw new Error('killed');
      },
    });
    await expect(run).rejects.toThrow('killed');
    const written: number[] = [];
    const rest = await runSyntheticLoop({
      ...cut,
      write: (round) => {
        written.push(round);
        return write(round);
      },
      rounds: 3,
      copies: 1,
      progress: saved as SyntheticProgress,
    });
    expect(written).toEqual([3]);
    expect(rest).toEqual(whole);
  });

  it('counts why candidates went, earlier rounds and the judge included', async () => {
    const lab = laboratory(async () => [
      ...Array.from({ length: 12 }, (_, i) => asked(i)),
      asked(3),
      asked(50),
    ]);
    const report = await runSyntheticLoop({
      ...lab,
      copies: 1,
      judge: async ({ answer }) => answer !== 'City 50',
    });
    expect(report.stopped).toBe('no new examples');
    expect(report.rounds.map(({ accepted, rejected }) => [accepted, rejected])).toEqual([
      [12, { copy: 1, 'judged bad': 1 }],
      [0, { copy: 13, 'judged bad': 1 }],
    ]);
  });
});
