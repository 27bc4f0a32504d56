import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { AdamW, SGD, type TrainEvent, TrainerError, train } from '../src/index.js';
import { KilledProgram } from './killed-program.js';
import { collect, losses, temporaryFolder, tinyRun, weightsOf } from './support.js';
import { TinyModel, tinyLoss } from './tiny.js';

const STEPS = 61;

/** Everything of the last checkpoint that must not depend on interruptions, and the losses of the log. */
function outcome(folder: string) {
  const last = join(folder, 'checkpoints', 'step-00000061', 'trainer');
  const { seconds, ...state } = JSON.parse(readFileSync(join(last, 'state.json'), 'utf8'));
  const lines = readFileSync(join(folder, 'log.jsonl'), 'utf8').trim().split('\n');
  const steps = lines.map((line) => JSON.parse(line));
  return {
    state,
    losses: steps.map(({ step, loss, learningRate, gradientNorm, tokens }) => ({
      step,
      loss,
      learningRate,
      gradientNorm,
      tokens,
    })),
    parameters: readFileSync(join(last, 'parameters.safetensors')),
    optimizer: readFileSync(join(last, 'optimizer.safetensors')),
    average: readFileSync(join(last, 'average.safetensors')),
  };
}

describe('a run that is killed with kill -9', () => {
  it('20 times, anywhere and in the middle of saves, ends with the same bits as one that is not', async () => {
    const program = new KilledProgram(fileURLToPath(new URL('./training-process.ts', import.meta.url)));
    const { folder, resumes, whole } = await program.expectSameOutcome([], 20, outcome);
    expect(whole.match(/^step /gm)).toHaveLength(STEPS);
    expect(resumes).toBeGreaterThan(10);
    expect(readdirSync(join(folder, 'checkpoints')).sort()).toEqual([
      'step-00000028',
      'step-00000060',
      'step-00000061',
    ]);
  });
});

describe('checkpoints', () => {
  it('are written every so many steps and at the end, and only the last ones are kept', async () => {
    const directory = join(temporaryFolder(), 'run');
    const events = await collect(train(tinyRun({ steps: 10, checkpoint: { directory, every: 4, keep: 2 } })));
    const seen = events.flatMap((event) => (event.type === 'checkpoint' ? [event.path] : []));
    expect(seen).toEqual(
      ['step-00000004', 'step-00000008', 'step-00000010'].map((name) => join(directory, name)),
    );
    expect(readdirSync(directory).sort()).toEqual(['step-00000008', 'step-00000010']);
  });

  it('can be spaced in seconds', async () => {
    const directory = join(temporaryFolder(), 'run');
    const events = await collect(
      train(tinyRun({ steps: 3, checkpoint: { directory, every: { seconds: 0 } } })),
    );
    expect(events.filter(({ type }) => type === 'checkpoint')).toHaveLength(3);
  });

  it('do not change the run', async () => {
    const directory = join(temporaryFolder(), 'run');
    const plain = await losses(tinyRun({ steps: 9 }));
    expect(await losses(tinyRun({ steps: 9, checkpoint: { directory, every: 2 } }))).toEqual(plain);
  });

  it('let a longer run go on, and a finished one be', async () => {
    const checkpoint = { directory: join(temporaryFolder(), 'run'), resume: true };
    const whole = await losses(tinyRun({ steps: 12 }));
    await losses(tinyRun({ steps: 5, checkpoint }));
    const events = await collect(train(tinyRun({ steps: 12, checkpoint })));
    expect(events[0]).toMatchObject({ type: 'resume', step: 5, steps: 12 });
    expect(events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))).toEqual(whole.slice(5));
    expect(await collect(train(tinyRun({ steps: 12, checkpoint })))).toMatchObject([
      { type: 'resume', step: 12 },
    ]);
  });

  it('are not overwritten by another run', async () => {
    const directory = join(temporaryFolder(), 'run');
    await losses(tinyRun({ steps: 2, checkpoint: { directory } }));
    await expect(losses(tinyRun({ steps: 2, checkpoint: { directory } }))).rejects.toThrow(
      /there are checkpoints of an earlier run: got .*step-00000002\. Resume it/,
    );
  });

  it('of another model or optimizer are refused, by name', async () => {
    const checkpoint = { directory: join(temporaryFolder(), 'run'), resume: true };
    await losses(tinyRun({ steps: 2, checkpoint }));
    const wide = tinyRun({ model: new TinyModel({ width: 8 }), steps: 4, checkpoint });
    await expect(losses(wide)).rejects.toThrow(
      /embed\.weight differs: got f32 \[11, 6\]; expected f32 \[11, 8\]/,
    );
    await expect(losses(tinyRun({ optimizer: new SGD(), steps: 4, checkpoint }))).rejects.toThrow(
      TrainerError,
    );
  });

  it('that are damaged are refused with the file', async () => {
    const checkpoint = { directory: join(temporaryFolder(), 'run'), resume: true };
    await losses(tinyRun({ steps: 2, checkpoint }));
    const file = join(checkpoint.directory, 'step-00000002', 'trainer', 'parameters.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, 300));
    await expect(losses(tinyRun({ steps: 4, checkpoint }))).rejects.toThrow(/parameters\.safetensors/);
  });

  it('are named by the error of a run that went wrong', async () => {
    const directory = join(temporaryFolder(), 'run');
    const model = new TinyModel();
    const loss = tinyLoss(model);
    let calls = 0;
    const poisoned: typeof loss = (batch) => {
      const { sum, ...rest } = loss(batch);
      return { ...rest, sum: ++calls > 5 ? sum.mul(Number.POSITIVE_INFINITY) : sum };
    };
    const options = tinyRun({ model, loss: poisoned, checkpoint: { directory, every: 2 } });
    await expect(losses(options)).rejects.toMatchObject({
      step: 6,
      checkpoint: join(directory, 'step-00000004'),
    });
    expect(readdirSync(directory)).toEqual(['step-00000002', 'step-00000004']);
  });
});

describe('an aborted run', () => {
  it('finishes its step, writes a checkpoint and throws the reason; resuming gives the same bits', async () => {
    const checkpoint = { directory: join(temporaryFolder(), 'run'), resume: true };
    const uninterrupted = tinyRun({ steps: 12, optimizer: new AdamW() });
    const whole = await losses(uninterrupted);

    const controller = new AbortController();
    const seen: TrainEvent[] = [];
    const running = (async () => {
      for await (const event of train(tinyRun({ steps: 12, checkpoint, signal: controller.signal }))) {
        seen.push(event);
        if (event.step === 6) controller.abort(new Error('enough'));
      }
    })();
    await expect(running).rejects.toThrow('enough');
    expect(seen.at(-1)).toMatchObject({ type: 'checkpoint', step: 7 });

    const rest = tinyRun({ steps: 12, checkpoint });
    expect(await losses(rest)).toEqual(whole.slice(7));
    expect(await weightsOf(rest.model)).toEqual(await weightsOf(uninterrupted.model));
  });

  it('does nothing when it was aborted before', async () => {
    await expect(losses(tinyRun({ signal: AbortSignal.abort() }))).rejects.toThrow(/abort/);
  });
});

describe('the log', () => {
  it('has one line per step and evaluation, and loses those behind the checkpoint when the run goes on', async () => {
    const folder = temporaryFolder();
    const log = join(folder, 'deep', 'log.jsonl');
    const checkpoint = { directory: join(folder, 'run'), every: 3, resume: true };
    const evaluate = { every: 3, run: async () => ({ score: 1 }) };
    for await (const event of train(tinyRun({ steps: 6, log, checkpoint, evaluate })))
      if (event.step === 5) break;
    const read = () => readFileSync(log, 'utf8').trimEnd().split('\n');
    expect(read().map((line) => JSON.parse(line).step)).toEqual([1, 2, 3, 3, 4, 5]);
    expect(Object.keys(JSON.parse(read()[0]))).toEqual([
      'step',
      'loss',
      'learningRate',
      'gradientNorm',
      'tokens',
      'tokensPerSecond',
      'seconds',
    ]);
    writeFileSync(log, `${readFileSync(log, 'utf8')}{"step": 6, "lo`); // a torn line

    await losses(tinyRun({ steps: 6, log, checkpoint, evaluate }));
    const lines = read().map((line) => JSON.parse(line));
    expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 3, 4, 5, 6, 6]);
    expect(lines[3]).toEqual({ step: 3, metrics: { score: 1 } });
  });

  it('starts anew with the run', async () => {
    const log = join(temporaryFolder(), 'log.jsonl');
    mkdirSync(join(log, '..'), { recursive: true });
    writeFileSync(log, '{"step":1}\n');
    await losses(tinyRun({ steps: 2, log }));
    expect(readFileSync(log, 'utf8').match(/"step"/g)).toHaveLength(2);
  });
});
