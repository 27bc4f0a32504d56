import { Presets, SingleBar } from 'cli-progress';
import type { Context } from './context.js';

/** A bar that is only drawn where somebody watches. */
export interface Progress {
  update(done: number, total: number, note?: string): void;
  /** Takes the bar away. */
  stop(): void;
}

export function startProgress({ terminal }: Context, label: string): Progress {
  const { progressStream } = terminal;
  if (!progressStream) return { update: () => {}, stop: () => {} };
  const bar = new SingleBar(
    {
      format: `${label} {bar} {percentage} % · {eta_formatted} left {note}`,
      stream: progressStream as NodeJS.WriteStream,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 24,
      barCompleteChar: '━',
      barIncompleteChar: '─',
    },
    Presets.legacy,
  );
  let started = false;
  return {
    update(done, total, note = '') {
      if (!started) bar.start(total, done, { note });
      else bar.update(done, { note });
      started = true;
    },
    stop() {
      if (started) bar.stop();
    },
  };
}

/** Runs `work` with a bar that goes away at its end, also when it fails. */
export async function withProgress<T>(
  context: Context,
  label: string,
  work: (update: Progress['update']) => Promise<T>,
): Promise<T> {
  const progress = startProgress(context, label);
  try {
    return await work(progress.update);
  } finally {
    progress.stop();
  }
}
