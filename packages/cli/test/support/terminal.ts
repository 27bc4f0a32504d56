import { PassThrough, Readable } from 'node:stream';
import { run, type Terminal } from '../../src/index.js';
import type { Interrupts } from '../../src/interrupts.js';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface FrugalOptions {
  readonly input?: string;
  readonly signal?: AbortSignal;
  readonly interrupts?: Interrupts;
  /** Sees standard output as it is written. */
  readonly onOutput?: (text: string) => void;
  /** Is called when a progress bar is drawn. */
  readonly onProgress?: () => void;
  /** Sees standard error as it is written. */
  readonly onError?: (text: string) => void;
}

/** Runs a command line in this process, on the reference backend unless it says otherwise. */
export async function frugal(
  args: readonly string[],
  { input = '', signal, interrupts, onOutput, onError, onProgress }: FrugalOptions = {},
): Promise<Outcome> {
  let out = '';
  let err = '';
  const terminal: Terminal = {
    out: (text) => {
      out += text;
      onOutput?.(text);
    },
    err: (text) => {
      err += text;
      onError?.(text);
    },
    input: Readable.from([input]),
    ...(onProgress && { progressStream: watched(onProgress) }),
  };
  const code = await run(args, { terminal, ...(signal && { signal }), ...(interrupts && { interrupts }) });
  return { code, out, err };
}

function watched(onProgress: () => void): NodeJS.WritableStream {
  const stream = Object.assign(new PassThrough(), {
    isTTY: true,
    columns: 80,
    cursorTo: () => true,
    clearLine: () => true,
  });
  return stream.on('data', onProgress);
}
