import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the space in which V8 allocates as small as it is at the start of the process, 2 MB. Under load it would grow to
 * 32 MB (Node 20) or 128 MB (Node 24) and shrink in quiet minutes, so that a server's memory is neither small nor flat.
 * (Node 24 still lets it grow while it marks the old generation, and takes it back after.) For
 * processes that do nothing but serve: the whole process allocates that way from then on.
 */
export function boundYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
