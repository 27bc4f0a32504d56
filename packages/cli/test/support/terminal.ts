import { Readable } from 'node:stream';
import { run, type Terminal } from '../../src/index.js';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface FrugalOptions {
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** Sees standard error as it is written. */
  readonly onError?: (text: string) => void;
}

/** Runs a command line in this process, on the reference backend unless it says otherwise. */
export async function frugal(
  args: readonly string[],
  { input = '', signal, onError }: FrugalOptions = {},
): Promise<Outcome> {
  let out = '';
  let err = '';
  const terminal: Terminal = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
      onError?.(text);
    },
    input: Readable.from([input]),
  };
  const code = await run(args, { terminal, ...(signal && { signal }) });
  return { code, out, err };
}
