import type { Tensor } from '@frugal/tensor-core';
import type { PackedActivation } from '@frugal/tensor-core/formats';
import type { BatchSource, CausalLM, Model, Module, Output, TrainBatch } from '@frugal/tensor-core/nn';
import type { Edit } from './edit.js';
import type { ModifierSpec } from './recipe.js';
import type { Site, SiteKind } from './site.js';
import type { StatName, Stats } from './statistics.js';

/** What a method intends for one site. */
export interface PlannedSite {
  readonly path: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** What differs from the other sites, such as a fall-back format. */
  readonly note?: string;
  /** The packed matrix that the layer becomes. */
  readonly packed?: PlannedPacking;
}

export interface PlannedPacking {
  readonly format: string;
  readonly activation: PackedActivation;
  /** Modules that use the same matrix: a tied embedding. */
  readonly sharedWith: readonly string[];
}

/** What a checkpoint of the model, with these layers packed, could not hold: a sentence each. */
export type StorageCheck = (model: Model, packed: ReadonlyMap<string, PlannedPacking>) => readonly string[];

export interface Plan {
  readonly sites: readonly PlannedSite[];
  /** Everything that stands in the way. */
  readonly problems: readonly string[];
}

/** What the training of a stage can use. */
export interface TrainContext {
  readonly student: CausalLM;
  readonly teacher: CausalLM | null;
  /** The batches of the run, for methods that change them and bring the result as their own. */
  readonly data: BatchSource | null;
  /** The places of the student that the method is pointed at. */
  readonly sites: readonly Site[];
  readonly seed: number;
}

/** The values of one training step that losses are made of. */
export interface LossInputs {
  readonly batch: TrainBatch;
  /** i32 [M], -100 for none. */
  readonly targets: Tensor;
  /** f32 [M]: how much each row counts. */
  readonly weights: Tensor | null;
  readonly student: Output;
  readonly teacher: Output | null;
}

/** How a method takes part in the training of its stage. Losses of one stage are summed. */
export interface ModifierTraining {
  /** Wraps weights for the time of training: masks, fake quantizers, adapters. */
  parametrize?(): Disposable;
  /** Modules that the training alone needs, such as projections, by name: trained with the model, then dropped. */
  modules?: Readonly<Record<string, Module>>;
  /** Names of values that the loss reads in `Output.collected`, such as `blocks.3.hidden`. */
  collect?: { readonly student: readonly string[]; readonly teacher: readonly string[] };
  /** Data of its own; two sources in one stage are refused. */
  batches?: BatchSource;
  /** Σ over rows, in nats. */
  loss?(inputs: LossInputs): Tensor;
  afterStep?(step: number): void;
}

/** What calibration showed of the layer, or block, at a path. */
export type StatsOf = (path: string) => Stats;

/** What a method did at one site. */
export interface Outcome {
  readonly edits: readonly Edit[];
  /** What it found out on the way, for the report. */
  readonly measured?: Readonly<Record<string, number | string | undefined>>;
}

/** A method: data (`spec`) and behaviour. The maths is pure functions elsewhere. */
export interface Modifier {
  readonly spec: ModifierSpec;
  readonly sites: readonly SiteKind[];
  readonly needs: {
    readonly stats?: readonly StatName[];
    /** What it makes use of where there is calibration data, and does without otherwise. */
    readonly optionalStats?: readonly StatName[];
    readonly training?: boolean;
    readonly teacher?: boolean;
  };
  /** Pure: looks, and changes nothing. */
  plan(sites: readonly Site[], model: Model): Plan;
  /** Choices that need all sites at once; returns the paths to work on. */
  select?(sites: readonly Site[], stats: StatsOf): Promise<readonly string[]>;
  /** Works on one site; `stats` knows the layers of the site's block, as they are at this point of the stage. */
  apply?(site: Site, stats: StatsOf, model: Model): Promise<Outcome>;
  train?(context: TrainContext): ModifierTraining;
  /**
   * What the method's work needs while later stages train: zeros that must stay zero. The sites here and in `invariant` are those
   * that it worked on, by the paths that they had in its stage.
   */
  hold?(sites: readonly Site[]): Pick<ModifierTraining, 'parametrize' | 'afterStep'>;
  /** What must stay true after every later stage; a sentence when it does not. */
  invariant?(site: Site): Promise<string | null>;
  /** Folds what the stage left behind: masks, adapters, fake quantizers. */
  finish?(site: Site): Promise<readonly Edit[]>;
}

/** Makes a modifier from its spec. @throws RecipeError for options that it does not know */
export interface ModifierFactory {
  readonly type: string;
  create(spec: ModifierSpec): Modifier;
}
