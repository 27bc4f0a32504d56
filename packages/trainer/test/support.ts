import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { AdamW, constant, type TrainEvent, type TrainOptions, train } from '../src/index.js';
import { TinyModel, TinySource, tinyLoss } from './tiny.js';

const folders: string[] = [];

/** A fresh folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-trainer-'));
  folders.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Options of a small run; each call makes everything anew. */
export function tinyRun(
  changes: Partial<TrainOptions> & { readonly model?: TinyModel } = {},
): TrainOptions & { readonly model: TinyModel } {
  const model = changes.model ?? new TinyModel();
  return {
    model,
    batches: new TinySource(),
    loss: tinyLoss(model),
    optimizer: new AdamW(),
    schedule: constant({ peak: 0.05 }),
    steps: 20,
    ...changes,
  };
}

export async function collect(events: AsyncIterable<TrainEvent>): Promise<TrainEvent[]> {
  const all: TrainEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** Runs to the end; gives the losses of all steps. */
export async function losses(options: TrainOptions): Promise<number[]> {
  return (await collect(train(options))).flatMap((event) => (event.type === 'step' ? [event.loss] : []));
}

export async function weightsOf(model: TinyModel): Promise<Float32Array[]> {
  return Promise.all(model.parameters().map(({ value }) => value.toFloat32()));
}
