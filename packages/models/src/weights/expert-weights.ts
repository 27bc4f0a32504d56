import { ExpertMemory, type ExpertMemoryOptions, limitExperts } from '@frugal/moe';
import { type Backend, BackendError, PackedTensor, type Tensor } from '@frugal/tensor-core';
import { type ActivationFormat, type CausalLM, Linear, PackedLinear } from '@frugal/tensor-core/nn';
import { ExpertFile } from './expert-file.js';

export interface ExpertMemorySettings extends ExpertMemoryOptions {
  /** Where the experts lie that a checkpoint does not hold as kernels read them; default: the system's temporary folder. */
  readonly folder?: string | undefined;
}

const EXPERT = /^(blocks\.\d+\..*experts\.(?:gate|up|down)\.sites\.\d+)(\.weight)?$/;

type Place = Awaited<ReturnType<ExpertFile['add']>>;

interface Waiting {
  readonly path: string;
  readonly places: readonly Place[];
  /** Makes the layer from tensors in the file. */
  readonly layer: (tensors: readonly Tensor[]) => Linear | PackedLinear;
}

/** Takes the experts of a model as they are loaded, so that never more than one of them is in memory. */
export class ExpertWeights {
  private readonly waiting: Waiting[] = [];

  private constructor(
    private readonly backend: Backend,
    private readonly settings: ExpertMemorySettings,
    private readonly file: ExpertFile,
  ) {}

  /** @throws BackendError when the backend cannot map files */
  static async create(backend: Backend, settings: ExpertMemorySettings): Promise<ExpertWeights> {
    if (!backend.mapFile)
      throw new BackendError({
        where: 'expert memory',
        what: 'this backend computes with nothing that lies in a file',
        got: backend.name,
        expected: 'cpu',
      });
    return new ExpertWeights(backend, settings, await ExpertFile.create(settings.folder));
  }

  /** Whether a path of the model names an expert. */
  handles(path: string): boolean {
    return EXPERT.test(path);
  }

  /** Takes a packed expert over. */
  async addPacked(path: string, weight: PackedTensor, activation: ActivationFormat | null): Promise<void> {
    const { format, shape, layout, parts } = weight;
    const places: Place[] = [];
    for (const part of parts) places.push(await this.file.add(part));
    weight.dispose();
    const layer = (tensors: readonly Tensor[]) =>
      new PackedLinear(new PackedTensor(format, shape, tensors, layout), { activation });
    this.waiting.push({ path, places, layer });
  }

  /** Takes a dense expert over. What lies in the checkpoint as it is needed stays there. */
  async addDense(path: string, value: Tensor): Promise<void> {
    const site = path.replace(/\.weight$/, '');
    if (value.storage.prefetch) {
      this.waiting.push({ path: site, places: [], layer: () => new Linear(value) });
      return;
    }
    const places = [await this.file.add(value)];
    value.dispose();
    this.waiting.push({ path: site, places, layer: ([tensor]) => new Linear(tensor) });
  }

  /** Puts all experts into the model, none of them in memory. */
  async finish(model: CausalLM): Promise<void> {
    const tensors = await this.file.map(
      this.backend,
      this.waiting.flatMap(({ places }) => places),
    );
    let at = 0;
    for (const { path, places, layer } of this.waiting) {
      model.replace(path, layer(tensors.slice(at, at + places.length)));
      at += places.length;
    }
    limitExperts(model, new ExpertMemory(this.settings));
  }

  /** After a failure: leaves no file behind. */
  async abandon(): Promise<void> {
    await this.file.close();
  }
}
