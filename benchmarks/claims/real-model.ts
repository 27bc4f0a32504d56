import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint, saveFile } from '@frugal/checkpoint';
import { compress, presetRecipe } from '@frugal/compress';
import { forms, methods } from '@frugal/example-compress-a-real-model/forms';
import { convertModel, loadModel, saveModel, skeleton, tokenizerOf } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { type DocumentScore, scoreDocuments, sequencesOf, speeches } from './corpus.js';

/** The packed forms that are measured: presets of `@frugal/compress`, and the int4 form of the example. */
export type Preset = 'int8' | 'w8a8' | 'q8_0' | 'int4';

const CALIBRATION = { count: 12, length: 256 } as const;

/** SmolLM2-135M-Instruct, and what is made of it, each once, in a folder. */
export class RealModel {
  private constructor(
    /** The GGUF file. */
    readonly source: string,
    private readonly folder: string,
    readonly tokenizer: Tokenizer,
  ) {}

  static async open(source: string, folder: string): Promise<RealModel> {
    await mkdir(folder, { recursive: true });
    const checkpoint = await openCheckpoint(source);
    const tokenizer = await tokenizerOf(checkpoint);
    await checkpoint.close();
    return new RealModel(source, folder, tokenizer);
  }

  /** Its weights as bf16: what every other form is made of and compared with. */
  async dense(): Promise<string> {
    const path = join(this.folder, 'bf16');
    if (!existsSync(path)) await convertModel(this.source, path, { to: 'bf16' });
    return path;
  }

  /** The same bf16 weights for llama.cpp. */
  async denseGguf(): Promise<string> {
    const path = join(this.folder, 'bf16.gguf');
    if (!existsSync(path)) await convertModel(await this.dense(), path, { to: 'bf16' });
    return path;
  }

  load(form: Preset | 'bf16'): Promise<CausalLM> {
    if (form === 'bf16') return this.dense().then((path) => loadModel(path, { dtype: 'bf16' }));
    return this.packed(form).then((path) => loadModel(path));
  }

  /** Held-out speeches, document by document, in windows of 512 tokens. */
  async scores(form: Preset | 'bf16', bytes: number): Promise<DocumentScore[]> {
    const file = join(this.folder, `${form}-${bytes}.json`);
    if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8')) as DocumentScore[];
    const model = await this.load(form);
    const scores = await scoreDocuments(model, this.tokenizer, (await speeches(bytes)).heldOut, 512);
    model.dispose();
    await saveFile(file, JSON.stringify(scores));
    return scores;
  }

  async packed(preset: Preset): Promise<string> {
    const path = join(this.folder, preset);
    if (existsSync(path)) return path;
    const model = await loadModel(await this.dense());
    const { training } = await speeches(1);
    const form = forms.find(({ key }) => key === preset);
    const done = await compress(model, form?.recipe(model) ?? presetRecipe(preset, model), {
      methods,
      calibration: sequencesOf(training, this.tokenizer, CALIBRATION),
      rebuild: skeleton,
    });
    await saveModel(done.model, path, { tokenizerFiles: this.tokenizer.files(), manifest: done.manifest });
    done.model.dispose();
    return path;
  }
}
