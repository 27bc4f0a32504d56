import { displayWidth, escapeMarkup } from '../text.js';
import { CHART_STYLE, FONT_SIZE } from './style.js';

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** An element; numbers are rounded to a tenth of a pixel, children are markup. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const text = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) =>
        ` ${key}="${typeof value === 'number' ? pixels(value) : escapeMarkup(String(value))}"`,
    )
    .join('');
  return children.length === 0 ? `<${name}${text}/>` : `<${name}${text}>${children.join('')}</${name}>`;
}

export function textElement(text: string, attributes: Attributes): string {
  return element('text', attributes, escapeMarkup(text));
}

/** What a pointer resting on the parent sees. */
export function tooltip(text: string): string {
  return element('title', {}, escapeMarkup(text));
}

/** `M 10 20 L 30.5 40`. */
export function polyline(points: readonly (readonly [x: number, y: number])[]): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${pixels(x)} ${pixels(y)}`).join('');
}

export function pixels(value: number): string {
  return String(Number(value.toFixed(1)) + 0); // + 0: never -0
}

/** A guess that is good enough to keep room: fonts differ. */
export function textWidth(text: string, size = FONT_SIZE): number {
  return displayWidth(text) * size * 0.56;
}

/** A complete SVG document on a surface of its own. */
export function svgDocument(
  {
    width,
    height,
    title,
    description,
  }: { width: number; height: number; title: string; description: string },
  children: readonly string[],
): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    class: 'frugal-chart',
    role: 'img',
    'aria-label': `${title}. ${description}`,
    viewBox: `0 0 ${pixels(width)} ${pixels(height)}`,
    width,
    height,
  };
  const surface = element('rect', { class: 'surface', width: '100%', height: '100%' });
  return element(
    'svg',
    attributes,
    `<style>${CHART_STYLE}</style>`,
    surface,
    ...children.map((child) => `\n${child}`),
    '\n',
  );
}
