import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The chat page: one document that loads nothing, and the policy that lets it run nothing else. */
export interface Page {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

let assembled: Page | null = null;

/** `page.html` with its styles and its script in their places; put together at the first call. */
export function chatPage(): Page {
  assembled ??= assemble();
  return assembled;
}

function assemble(): Page {
  // The files ship as they are: this finds them from src/ as well as from a bundle in dist/.
  const root = dirname(createRequire(import.meta.url).resolve('@frugal/serve/package.json'));
  const read = (file: string) => readFileSync(join(root, 'src', 'page', file), 'utf8');
  const sources: string[] = [];
  const inline = (tag: string, source: string) => {
    sources.push(`'sha256-${createHash('sha256').update(source).digest('base64')}'`);
    return `<${tag}>${source}</${tag.split(' ')[0]}>`;
  };
  const html = read('page.html')
    .replace(/<link rel="stylesheet" href="(.+?)">/g, (_, file) => inline('style', read(file)))
    .replace(/<script type="module" src="(.+?)"><\/script>/, (_, file) =>
      inline('script type="module"', bundled(file, read)),
    );
  const script = sources.pop();
  return {
    html,
    contentSecurityPolicy: [
      "default-src 'none'",
      `style-src ${sources.join(' ')}`,
      `script-src ${script}`,
      "connect-src 'self'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  };
}

/**
 * A script with the modules that it imports before it, each once, as one module: they import by name alone, and no two of
 * them give one name to different things.
 */
function bundled(file: string, read: (file: string) => string, seen = new Set<string>()): string {
  if (seen.has(file)) return '';
  seen.add(file);
  const before: string[] = [];
  const body = read(file)
    .replace(/^import \{[^}]*\} from '\.\/(.+?)';\n/gm, (_, imported) => {
      before.push(bundled(imported, read, seen));
      return '';
    })
    .replace(/^export /gm, '');
  return [...before, body].join('');
}
