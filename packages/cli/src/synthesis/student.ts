import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SyntheticExample } from '@frugal/data';
import { configOf, type SaveModelOptions, saveModel, skeleton, unpackModel } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { sourceFiles, withCheckpoint } from '../checkpoint.js';
import type { Context } from '../context.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { checkContext, checkTraining, type TrainingConfig } from '../training/config.js';
import { languageModelJob, runTraining } from '../training/run-training.js';
import { chatSet } from '../training/tuning-batches.js';
import { tuningDefaults } from '../training/tuning-defaults.js';
import type { SynthesisConfig } from './config.js';

/** Where rounds keep what they need to go on. */
export interface RoundFolders {
  readonly folderOf: (round: number) => string;
  readonly logOf: (round: number) => string;
}

/**
 * The model that learns. Each round begins with the student as it came and all examples so far (as STaR does, Zelikman et al.
 * 2022, arXiv:2203.14465), so that early examples are not learned more often than late ones.
 */
export class Student {
  /** The last round that was a gain; 0: none yet. */
  kept = 0;
  private current: CausalLM | null = null;

  private constructor(
    private readonly source: string,
    readonly tokenizer: Tokenizer,
    private readonly config: SynthesisConfig,
    /** Of one step: rounds set their length. */
    readonly training: TrainingConfig,
    private readonly folders: RoundFolders,
    private readonly context: Context,
  ) {}

  /** Reads no weights yet. @throws CommandError for settings that do not fit the model */
  static async open(config: SynthesisConfig, folders: RoundFolders, context: Context): Promise<Student> {
    const source = await modelPath(config.student, context);
    const model = await withCheckpoint(source, async (checkpoint) => skeleton(await configOf(checkpoint)));
    const settings = { ...tuningDefaults('full', model), ...config.training };
    const training = checkTraining({ seed: config.seed, ...settings, steps: 1 }, 'training');
    checkContext(model, training);
    return new Student(source, await openTokenizer(source), config, training, folders, context);
  }

  /** As the last training left it; after `close`, as the last round that was kept did. */
  async model(): Promise<CausalLM> {
    this.current ??= await openModel(this.kept > 0 ? this.modelOf(this.kept) : this.source, this.context);
    return this.current;
  }

  async train(examples: readonly SyntheticExample[], round: number, resume: boolean): Promise<void> {
    this.close();
    const finished = this.modelOf(round);
    // A loop that was interrupted behind the training of this round has it already.
    const isTrained = existsSync(finished);
    const model = await openModel(isTrained ? finished : this.source, this.context);
    this.current = model;
    if (isTrained) return;
    unpackModel(model);
    const chats = examples.map(({ instruction, answer, seed }) => ({
      id: seed,
      messages: [
        { role: 'user', content: instruction },
        { role: 'assistant', content: answer },
      ],
    }));
    const set = chatSet(chats, this.tokenizer, this.training.sequence, `the examples of round ${round}`);
    const steps = Math.max(1, Math.ceil(this.config.epochs * set.stepsPerEpoch(this.training)));
    const training = { ...this.training, steps };
    const log = this.folders.logOf(round);
    const run = {
      checkpoints: join(this.folders.folderOf(round), 'training'),
      log: `${log}.jsonl`,
      page: `${log}.html`,
    };
    await runTraining(
      { ...languageModelJob(model, training), batches: set.batches(training) },
      { label: `round ${round}`, config: training, run, resume },
      this.context,
    );
    await this.save(finished);
  }

  close(): void {
    this.current?.dispose();
    this.current = null;
  }

  /** With the tokenizer that it came with. */
  async save(path: string, options: Pick<SaveModelOptions, 'manifest' | 'force'> = {}): Promise<void> {
    await saveModel(await this.model(), path, {
      ...(await withCheckpoint(this.source, sourceFiles)),
      ...options,
    });
  }

  private modelOf(round: number): string {
    return join(this.folders.folderOf(round), 'model');
  }
}
