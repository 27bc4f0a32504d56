import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** The built program may lie in a chunk that several benchmarks share, so the folder is looked for upwards. */
function peersFolder(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'peers/protocol.py'))) return join(folder, 'peers');
  }
  throw new Error('[peer] there is no folder peers above this program');
}

/**
 * A program that speaks the protocol of `peers/protocol.py`, so that it and others can take turns. It is stopped while it has
 * none: worker threads of PyTorch and onnxruntime spin on for long after their work, on the cores of whoever comes next.
 */
export class Peer {
  private readonly lines: AsyncIterator<string>;
  /** As the program calls itself: `PyTorch 2.8.0`. */
  version = '';

  private constructor(
    private readonly child: ChildProcessByStdio<Writable, Readable, null>,
    reader: Interface,
  ) {
    this.lines = reader[Symbol.asyncIterator]();
  }

  /** Starts a peer in Python, or says why it cannot run here. `FRUGAL_PYTHON` names the Python that has the packages. */
  static async start(
    script: string,
    args: readonly string[],
    module = 'torch',
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Peer | string> {
    const python = process.env.FRUGAL_PYTHON ?? 'python3';
    const check = spawnSync(python, ['-c', `import ${module}`], { encoding: 'utf8' });
    if (check.status !== 0) return `${python} cannot import ${module} (see benchmarks/peers/README.md)`;
    return Peer.launch(python, [join(peersFolder(), script), ...args], environment);
  }

  /**
   * Starts a peer in Node, or says why it cannot run here. `FRUGAL_NODE_PEERS` names the folder in which its packages are
   * installed, by default `.cache/node-peers`.
   */
  static async startNode(script: string, args: readonly string[], module: string): Promise<Peer | string> {
    const folder = resolve(process.env.FRUGAL_NODE_PEERS ?? '.cache/node-peers', 'node_modules', module);
    if (!existsSync(folder)) return `there is no ${folder} (see benchmarks/peers/README.md)`;
    return Peer.launch(process.execPath, [join(peersFolder(), script), folder, ...args]);
  }

  /** This program once more, as a process of its own: with its own memory, and asleep while others have their turn. */
  static self(args: readonly string[]): Promise<Peer | string> {
    return Peer.launch(process.execPath, [...process.execArgv, process.argv[1], ...args]);
  }

  private static async launch(
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Peer | string> {
    const child = spawn(command, args, {
      env: { ...process.env, ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const peer = new Peer(child, createInterface({ input: child.stdout }));
    const first = await peer.read();
    if (!('ready' in first)) return JSON.stringify(first);
    peer.version = (first.ready as { peer?: string }).peer ?? command;
    peer.signal('SIGSTOP');
    return peer;
  }

  /** `what` names one of the things that the program can repeat, where there are several. */
  async run(count: number, what?: string): Promise<Record<string, number>> {
    this.signal('SIGCONT');
    this.child.stdin.write(`run ${count}${what ? ` ${what}` : ''}\n`);
    const answer = await this.read();
    this.signal('SIGSTOP');
    return answer as Record<string, number>;
  }

  quit(): void {
    this.signal('SIGCONT');
    this.child.stdin.end('quit\n');
  }

  private signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    if (process.platform !== 'win32') this.child.kill(name);
  }

  private async read(): Promise<Record<string, unknown>> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('[peer] ended without an answer');
    const answer = JSON.parse(value) as Record<string, unknown>;
    if (answer.error) throw new Error(`[peer] ${answer.error}`);
    return answer;
  }
}

/** The other side of {@link Peer.self}: answers each `run N` with what `run` returns, until told to quit. */
export async function serveRuns(
  name: string,
  run: (count: number) => Promise<Record<string, number>>,
): Promise<void> {
  console.log(JSON.stringify({ ready: { peer: name } }));
  for await (const line of createInterface({ input: process.stdin })) {
    const [word, count] = line.split(' ');
    if (word === 'quit') return;
    console.log(JSON.stringify(await run(Number(count))));
  }
}
