import { CheckpointFormatError, show } from '../errors.js';
import type { Settings } from './quantized-matrix.js';

/** Reads `quantization_config`, and refuses by name what is not done here. */
export class SettingsReader {
  constructor(
    readonly settings: Settings,
    private readonly where = 'quantization_config',
  ) {}

  integer(name: string, allowed?: readonly number[], fallback?: number): number {
    const value = this.settings[name] ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && (!allowed || allowed.includes(value)))
      return value;
    return this.refuse(name, allowed ? allowed.join(', ') : 'an integer');
  }

  oneOf<T extends string | boolean | null>(name: string, allowed: readonly T[], fallback: T): T {
    const value = (this.settings[name] ?? fallback) as T;
    return allowed.includes(value) ? value : this.refuse(name, allowed.map(String).join(', '));
  }

  refuse(name: string, expected: string): never {
    throw new CheckpointFormatError({
      file: `config.json: ${this.where}`,
      what: `this quantisation cannot be read: ${name}`,
      got: show(this.settings[name] ?? null),
      expected,
    });
  }
}
