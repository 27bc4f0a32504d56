import { CommandError } from '../errors.js';
import { type HubReference, isInside } from './reference.js';

/** What is needed of a file's entry in a repository. */
export interface RepositoryFile {
  readonly path: string;
  readonly size: number;
}

/** The files of a model, and what to open: the folder, or one of them. */
export interface Selection<F extends RepositoryFile> {
  /** Small ones first: what is wrong with a model shows before its weights are here. */
  readonly files: readonly F[];
  /** Path within the repository; empty: all of it. */
  readonly open: string;
}

/** What a model is made of beside its weights. */
const COMPANIONS =
  /^(config|generation_config|frugal|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template)\.json$|^(merges\.txt|tokenizer\.model|chat_template\.jinja)$|^additional_chat_templates\/[^/]+\.jinja$/;
const WEIGHTS = /^model(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/;

/** @throws CommandError when there is nothing that can be opened, or more than one thing */
export function selectFiles<F extends RepositoryFile>(
  all: readonly F[],
  { repository, file }: Pick<HubReference, 'repository' | 'file'>,
): Selection<F> {
  const usable = all.filter(({ path }) => isInside(path));
  const gguf = usable.filter(({ path }) => /\.gguf$/i.test(path));
  const refuse = (what: string, got: string, hint: string): never => {
    throw new CommandError({ where: `hf:${repository}`, what, got, hint });
  };
  const choices = () => gguf.map(({ path }) => path).join(', ');
  if (file !== undefined) {
    const found = gguf.find(({ path }) => path === file);
    if (found) return { files: partsOf(found, gguf), open: found.path };
    if (!/\.gguf$/i.test(file))
      return refuse('only .gguf files are opened alone', file, 'Leave the file out to open the whole model.');
    return refuse('there is no such file', file, `There are: ${choices() || 'no .gguf files'}.`);
  }
  const weights = weightsOf(usable);
  if (weights.length > 0 && usable.some(({ path }) => path === 'config.json')) {
    const companions = usable.filter(({ path }) => COMPANIONS.test(path));
    return { files: [...companions, ...weights].sort((a, b) => a.size - b.size), open: '' };
  }
  const first = gguf.filter(({ path }) => !/-0*(?!0*1-of)\d+-of-\d+\.gguf$/i.test(path));
  if (first.length === 1) return { files: partsOf(first[0], gguf), open: first[0].path };
  if (first.length > 1)
    return refuse('there are several models', choices(), `Name one: hf:${repository}:${first[0].path}.`);
  const seen = usable.map(({ path }) => path).join(', ');
  return refuse(
    'there is no model here',
    seen || 'no files',
    'It needs config.json and *.safetensors, or a .gguf file.',
  );
}

/** The usual names; where there are none of them, whatever safetensors there are. */
function weightsOf<F extends RepositoryFile>(files: readonly F[]): F[] {
  const usual = files.filter(({ path }) => WEIGHTS.test(path));
  if (usual.some(({ path }) => path.endsWith('.safetensors'))) {
    // A single file beside shards is the same model twice.
    const sharded = usual.some(({ path }) => path.endsWith('.index.json'));
    return sharded ? usual.filter(({ path }) => path !== 'model.safetensors') : usual;
  }
  return files.filter(({ path }) => /^[^/]+\.safetensors(\.index\.json)?$/.test(path));
}

/** A GGUF file, with its siblings where it is split: `name-00001-of-00003.gguf`. */
function partsOf<F extends RepositoryFile>(file: F, all: readonly F[]): F[] {
  const match = /^(.*)-\d+(-of-\d+\.gguf)$/i.exec(file.path);
  if (!match) return [file];
  const [, stem, end] = match;
  return all.filter(({ path }) => path.startsWith(`${stem}-`) && path.endsWith(end));
}
