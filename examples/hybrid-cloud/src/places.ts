import { cp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { RunDirectory } from '@frugal/example-pretrain-distill-deploy/steps';
import { runCommand } from '@frugal/example-support';
import type { Settings } from './settings.js';
import type { Job, Report } from './training.js';

const program = fileURLToPath(new URL('./place.js', import.meta.url));

/** Every place is a process with a folder of its own; only what is named here goes from one to another. */
export class Places {
  constructor(
    private readonly run: RunDirectory,
    private readonly settings: Settings,
  ) {}

  /** Two ranks on processors, in one place: the beginning, up to a checkpoint that can be carried elsewhere. */
  begin(): Promise<Report> {
    return this.run.once('begin.json', async () => {
      console.error('two processors begin …');
      await rm(this.run.file('a'), { recursive: true, force: true });
      const speeds = [1, 1];
      const [report] = await Promise.all(
        ['a', 'a-second'].map((place, rank) =>
          this.start({
            place,
            backend: 'cpu',
            steps: this.settings.firstSteps,
            exchange: { folder: this.run.file('a-exchange'), rank, speeds },
          }),
        ),
      );
      await this.copy('a', 'begun');
      return report;
    });
  }

  /** One place goes on alone, from that checkpoint, until the next exchange would come. */
  goOn(backend: string): Promise<Report> {
    return this.run.once(`alone-${backend}.json`, async () => {
      console.error(`${backend} goes on from the checkpoint …`);
      await this.copy('begun', `alone-${backend}`);
      const { firstSteps, localSteps } = this.settings;
      return this.start({ place: `alone-${backend}`, backend, steps: firstSteps + localSteps });
    });
  }

  /** Both go on together and exchange files; the second place needs no checkpoint, for the first one sends it. */
  together(second: string): Promise<Report[]> {
    return this.run.once('together.json', () => {
      console.error(`processors and ${second} go on together …`);
      const { steps, speeds } = this.settings;
      const exchange = { folder: this.run.file('exchange'), speeds };
      return Promise.all([
        this.start({ place: 'a', backend: 'cpu', steps, exchange: { ...exchange, rank: 0 } }),
        this.start({ place: 'b', backend: second, steps, exchange: { ...exchange, rank: 1 } }),
      ]);
    });
  }

  private async start({
    place,
    ...job
  }: Pick<Job, 'place' | 'backend' | 'steps' | 'exchange'>): Promise<Report> {
    const { settings, run } = this;
    const whole: Job = { settings, data: run.path, place: run.file(place), ...job };
    const environment = { FRUGAL_THREADS: '1' };
    return JSON.parse(await runCommand(process.execPath, [program, JSON.stringify(whole)], { environment }));
  }

  private async copy(from: string, to: string): Promise<void> {
    await rm(this.run.file(to), { recursive: true, force: true });
    await cp(this.run.file(from), this.run.file(to), { recursive: true });
  }
}
