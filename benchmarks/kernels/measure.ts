import { cpuBackend } from '@frugal/backend-cpu';
import { scope } from '@frugal/tensor-core';
import { Peer } from '../shared/peer.js';
import type { KernelCase, PeerCase } from './case.js';

/** All turns of one case: work per second in the case's unit. */
export interface Samples {
  readonly ours: readonly number[];
  readonly peers: readonly { readonly peer: string; readonly samples: readonly number[] }[];
}

const TURNS = 7;
const TURN_MILLISECONDS = 30;
/** Until peers are stopped and our own worker threads sleep. */
const PAUSE_MILLISECONDS = 10;

/** Peers stay alive between cases: starting one takes seconds. */
export class Peers {
  private readonly running = new Map<string, Promise<Peer | null>>();

  start({ script, module, args, environment = {} }: PeerCase, threads: number): Promise<Peer | null> {
    const all = [...args, '--threads', String(threads)];
    const key = JSON.stringify([script, all, environment]);
    let peer = this.running.get(key);
    if (!peer) {
      peer = Peer.start(script, all, module, environment).then((started) => {
        if (typeof started !== 'string') return started;
        console.error(`${script} is left out: ${started}`);
        return null;
      });
      this.running.set(key, peer);
    }
    return peer;
  }

  async quit(): Promise<void> {
    for (const peer of this.running.values()) (await peer)?.quit();
  }
}

interface Side {
  readonly samples: number[];
  /** Mean seconds of one run, over `count` runs. */
  seconds(count: number): number | Promise<number>;
}

/** Measures ours and every peer in turns. */
export async function measure(one: KernelCase, peers: Peers): Promise<Samples> {
  const backend = cpuBackend({ threads: one.threads, isa: one.isa });
  const theirs: { peer: string; samples: number[] }[] = [];
  const sides: Side[] = [];
  const { inputs, run } = scope(() => one.prepare(backend));
  const ours: Side = { samples: [], seconds: (count) => ourSeconds(run, count) };
  sides.push(ours);
  for (const wanted of one.peers) {
    const peer = await peers.start(wanted, one.threads);
    if (!peer) continue;
    const samples: number[] = [];
    theirs.push({ peer: [peer.version, wanted.variant].filter(Boolean).join(' '), samples });
    sides.push({ samples, seconds: async (count) => (await peer.run(count, wanted.what)).seconds / count });
  }
  const work = one.operations || one.bytes;
  for (const side of sides) await side.seconds(1);
  const counts = new Map<Side, number>();
  for (const side of sides) counts.set(side, runsPerTurn(await side.seconds(3)));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const side of sides) {
      await pause();
      side.samples.push(work / (await side.seconds(counts.get(side)!)) / 1e9);
    }
  }
  for (const input of inputs) input.dispose();
  return { ours: ours.samples, peers: theirs };
}

function runsPerTurn(seconds: number): number {
  return Math.max(1, Math.min(10_000, Math.round(TURN_MILLISECONDS / 1000 / seconds)));
}

function ourSeconds(run: () => void, count: number): number {
  const start = performance.now();
  for (let i = 0; i < count; i++) scope(run);
  return (performance.now() - start) / 1000 / count;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
}
