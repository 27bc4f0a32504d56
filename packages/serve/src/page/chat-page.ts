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
  const inline = (tag: string, file: string) => {
    const source = read(file);
    sources.push(`'sha256-${createHash('sha256').update(source).digest('base64')}'`);
    return `<${tag}>${source}</${tag.split(' ')[0]}>`;
  };
  const html = read('page.html')
    .replace(/<link rel="stylesheet" href="(.+?)">/g, (_, file) => inline('style', file))
    .replace(/<script type="module" src="(.+?)"><\/script>/, (_, file) =>
      inline('script type="module"', file),
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
