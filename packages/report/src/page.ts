import { type Cell, type Column, htmlTable, type TableOptions } from './table.js';
import { escapeMarkup } from './text.js';

/** What stands between two headings, in this order: text, chart, table. */
export interface Section {
  readonly title?: string | undefined;
  /** Paragraphs, plain text. */
  readonly text?: string | readonly string[] | undefined;
  /** Charts made by this package: SVG markup, put in as it is. */
  readonly charts?: readonly string[] | undefined;
  readonly table?:
    | (TableOptions & { readonly columns: readonly Column[]; readonly rows: readonly (readonly Cell[])[] })
    | undefined;
}

export interface PageOptions {
  readonly title: string;
  /** One sentence below the title. */
  readonly subtitle?: string | undefined;
  readonly sections: readonly Section[];
  /** Default `en`. */
  readonly language?: string | undefined;
}

const STYLE = `
:root{color-scheme:light dark}
body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:52rem;font:16px/1.6 system-ui,-apple-system,"Segoe UI","Noto Sans","Noto Sans CJK SC",sans-serif;background:#fcfcfb;color:#1f1e1c}
h1{font-size:1.75rem;line-height:1.25;margin:0}
h2{font-size:1.2rem;margin:2.75rem 0 .5rem}
.subtitle{margin:.25rem 0 0;color:#6f6e69}
p{margin:.5rem 0 1rem}
svg.frugal-chart{display:block;width:100%;height:auto;margin:1rem 0;border:1px solid #e6e5df;border-radius:8px}
.table{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
th,td{padding:.45rem .75rem;text-align:left;border-bottom:1px solid #e6e5df;vertical-align:baseline}
th{font-weight:600;border-bottom-color:#b5b4aa;white-space:nowrap}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
@media (prefers-color-scheme:dark){
body{background:#1a1a19;color:#e8e7e1}
.subtitle{color:#a09f97}
th,td,svg.frugal-chart{border-color:#2e2e2c}
th{border-bottom-color:#55544f}
}
@media print{body{padding:0;max-width:none}svg.frugal-chart,tr{break-inside:avoid}}
`;

/** One HTML file with everything in it: no scripts, no fonts, no requests. Follows the reader's light or dark mode. */
export function htmlPage({ title, subtitle, sections, language = 'en' }: PageOptions): string {
  return `<!doctype html>
<html lang="${escapeMarkup(language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${escapeMarkup(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeMarkup(title)}</h1>
${subtitle ? `<p class="subtitle">${escapeMarkup(subtitle)}</p>\n` : ''}</header>
<main>
${sections.map(renderSection).join('\n')}
</main>
</body>
</html>
`;
}

function renderSection({ title, text = [], charts = [], table }: Section): string {
  const paragraphs = typeof text === 'string' ? [text] : text;
  return [
    '<section>',
    ...(title ? [`<h2>${escapeMarkup(title)}</h2>`] : []),
    ...paragraphs.map((paragraph) => `<p>${escapeMarkup(paragraph)}</p>`),
    ...charts,
    ...(table ? [htmlTable(table.columns, table.rows, table)] : []),
    '</section>',
  ].join('\n');
}
