import type { Claim } from './claim.js';

/** What all parts are given. */
export interface Setting {
  /** The root of the repository. */
  readonly root: string;
  /** SmolLM2-135M-Instruct as Q4_1; null where it is not there. */
  readonly model: string | null;
  /** Little of everything: shows that the program works, proves nothing. */
  readonly quick: boolean;
}

/** One group of claims: what is measured, in a process of its own, and what that says. */
export interface Part<T> {
  readonly name: string;
  readonly needsModel: boolean;
  /** Packages whose sources the numbers depend on. */
  readonly packages: readonly string[];
  measure(setting: Setting): Promise<T>;
  claims(data: T): readonly Claim[];
}

export const commandOf = (part: string): string => `npm run bench -- claims --only ${part}`;

/** SmolLM2 as it is here: never without the model, which `main` looks for first. */
export function modelOf({ model }: Setting): string {
  if (model === null) throw new Error('[claims] no model: name SmolLM2-135M-Instruct as Q4_1 with --model');
  return model;
}
