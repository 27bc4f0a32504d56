import type { SiteOutcome } from './apply-stage.js';
import type { LayerBytes } from './layer-bytes.js';
import type { PlannedSite } from './modifier.js';
import type { Recipe } from './recipe.js';

/** What one method did in one stage. */
export interface ModifierReport {
  readonly type: string;
  readonly sites: readonly PlannedSite[];
}

export interface StageReport {
  readonly name: string;
  readonly seconds: number;
  readonly modifiers: readonly ModifierReport[];
  /** What was measured at each site that changed. */
  readonly outcomes: readonly SiteOutcome[];
  /** Bytes of the model after the stage. */
  readonly bytes: number;
  /** New paths of blocks → the paths they had, where blocks were removed. */
  readonly renamed?: Readonly<Record<string, string>>;
  /** What the injected trainer returned, for stages that train. */
  readonly training?: Readonly<Record<string, unknown>>;
  /** What the injected score says after the stage. */
  readonly score?: number;
}

/** The outcome of a recipe, as JSON. */
export interface CompressReport {
  readonly recipe: Recipe;
  /** Bytes of all parameters and packed weights. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** The same by block, and by part beside the blocks. */
  readonly layers: readonly LayerBytes[];
  readonly scoreBefore?: number;
  readonly stages: readonly StageReport[];
}
