import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { RunDirectory } from '@frugal/example-pretrain-distill-deploy/steps';
import { frugal, runCommand, runFrugal } from '@frugal/example-support';
import type { Settings } from './settings.js';

/** How the processes of a run divide and exchange: the `distributed` of its configuration. */
export interface Distribution {
  readonly speeds?: readonly number[];
  readonly localSteps?: number;
  readonly rounds?: 'even';
  readonly bits?: 8;
}

/** What a run left behind. */
export interface Outcome {
  readonly bitsPerByte: number;
  readonly seconds: number;
  /** Bytes that the first rank got in a step, on average. */
  readonly bytesPerStep: number;
  /** Sequences of each rank, by step. */
  readonly shares: readonly (readonly number[])[];
  /** SHA-256 of the weights. */
  readonly weights: string;
}

interface StepLine {
  readonly shares?: readonly number[];
}

/** One thread for each process: two of them share two cores. */
const environment = {
  FRUGAL_THREADS: '1',
  // Containers have no other user.
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
};
const halfSpeed = fileURLToPath(new URL('./half-speed.js', import.meta.url));

/** Runs of `frugal pretrain` over the same data, in one folder. */
export class Runs {
  constructor(
    private readonly run: RunDirectory,
    private readonly settings: Settings,
  ) {}

  /** One process. */
  alone(name: string): Promise<Outcome> {
    return this.once(name, {}, (config) => runFrugal([...config, '--json'], { environment }));
  }

  /** Two ranks that `mpirun` starts, the second at half speed. */
  byMpi(name: string, mpirun: string, distribution: Distribution): Promise<Outcome> {
    return this.once(name, distribution, (config) => {
      const rank = [...frugal, ...config, '--json'];
      const node = ['-np', '1', process.execPath];
      const args = [
        '--oversubscribe',
        '--bind-to',
        'none',
        ...node,
        ...rank,
        ':',
        ...node,
        halfSpeed,
        ...rank,
      ];
      return runCommand(mpirun, args, { environment });
    });
  }

  /** The same two, which exchange files instead. */
  byFolder(name: string, distribution: Distribution): Promise<Outcome> {
    const exchange = { ...distribution, folder: `${name}.exchange`, ranks: 2 };
    return this.once(name, exchange, async (config) => {
      const [first] = await Promise.all([
        runFrugal([...config, '--json', '--rank', '0'], { environment }),
        runCommand(process.execPath, [halfSpeed, ...frugal, ...config, '--rank', '1'], { environment }),
      ]);
      return first;
    });
  }

  private once(
    name: string,
    distributed: object,
    start: (config: readonly string[]) => Promise<string>,
  ): Promise<Outcome> {
    return this.run.once(`${name}.json`, async () => {
      console.error(`${name} …`);
      const file = this.run.file(`${name}.yaml`);
      await writeFile(file, JSON.stringify(this.experiment(name, distributed), null, 2));
      const started = performance.now();
      const record = JSON.parse(await start(['pretrain', file, '--force']));
      const seconds = (performance.now() - started) / 1000;
      const weights = await readFile(this.run.file(`${name}/model.safetensors`));
      return {
        bitsPerByte: record.metrics.bitsPerByte,
        seconds: record.seconds ?? seconds,
        bytesPerStep: record.distribution?.bytesPerStep ?? 0,
        shares: await this.shares(name),
        weights: createHash('sha256').update(weights).digest('hex'),
      };
    });
  }

  private experiment(name: string, distributed: object): object {
    const { model, steps, sequence, batch, learningRate, seed } = this.settings;
    return {
      model,
      data: 'data',
      tokenizer: 'tokenizer',
      out: name,
      // AdamW, since Muon's products would cost as much as the gradients of a model as small as this.
      training: { steps, sequence, batch, learningRate, seed, optimizer: 'adamw' },
      evaluation: { texts: ['held-out.jsonl'], every: steps },
      distributed,
    };
  }

  private async shares(name: string): Promise<(readonly number[])[]> {
    const log = await readFile(this.run.file(`${name}.training/log.jsonl`), 'utf8');
    return log
      .trim()
      .split('\n')
      .flatMap((line) => {
        const { shares } = JSON.parse(line) as StepLine;
        return shares ? [shares] : [];
      });
  }
}
