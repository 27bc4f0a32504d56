import type { Peer } from './peer.js';

/** What a contender reached: tokens per second of each turn, and the largest memory of its process. */
export interface Measured {
  readonly speed: number[];
  peakBytes: number;
}

/** Lets contenders make some steps each in turns; those that cannot run are left out, with a line that says why. */
export async function measureInTurns(
  all: readonly (readonly [name: string, peer: Peer | string])[],
  { turns, steps }: { readonly turns: number; readonly steps: number },
): Promise<Map<string, Measured>> {
  const contenders = new Map<string, Peer>();
  for (const [name, peer] of all) {
    if (typeof peer === 'string') console.error(`${name} is left out: ${peer}`);
    else contenders.set(name, peer);
  }
  const measured = new Map(
    [...contenders.keys()].map((name) => [name, { speed: [], peakBytes: 0 } as Measured]),
  );
  for (let turn = -1; turn < turns; turn++) {
    for (const [name, peer] of contenders) {
      const { tokens, seconds, peakBytes } = await peer.run(steps);
      const own = measured.get(name) as Measured;
      if (turn >= 0) own.speed.push(tokens / seconds); // the first turn warms up
      own.peakBytes = peakBytes;
    }
  }
  for (const peer of contenders.values()) peer.quit();
  return measured;
}
