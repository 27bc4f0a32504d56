import type { Scale } from './scale.js';
import { TITLE_SIZE } from './style.js';
import { element, textElement, textWidth } from './svg.js';

/** What all charts take. */
export interface ChartOptions {
  readonly title: string;
  /** A second line: what was measured, on what. */
  readonly subtitle?: string | undefined;
  /** Pixels; default 720. */
  readonly width?: number | undefined;
  /** Pixels; default 420. */
  readonly height?: number | undefined;
}

/** The rectangle that data are drawn in. */
export interface Plot {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export const MARGIN = 20;
export const LINE = 18;

/** Title, subtitle and legend; returns the first free y below them. */
export function header(
  { title, subtitle }: ChartOptions,
  legend: readonly { readonly name: string; readonly className: string }[],
  width: number,
): { readonly markup: readonly string[]; readonly bottom: number } {
  const markup = [textElement(title, { class: 'title', x: MARGIN, y: MARGIN + TITLE_SIZE - 3 })];
  let y = MARGIN + TITLE_SIZE - 3;
  if (subtitle) {
    y += LINE;
    markup.push(textElement(subtitle, { class: 'muted', x: MARGIN, y }));
  }
  if (legend.length === 0) return { markup, bottom: y + 10 };
  y += LINE + 4;
  let x = MARGIN;
  for (const { name, className } of legend) {
    const size = textWidth(name) + 34;
    if (x > MARGIN && x + size > width - MARGIN) {
      x = MARGIN;
      y += LINE;
    }
    const swatch = element('rect', { class: 'bar', x, y: y - 9, width: 10, height: 10, rx: 2 });
    markup.push(
      element('g', { class: className }, swatch, textElement(name, { class: 'label', x: x + 15, y })),
    );
    x += size;
  }
  return { markup, bottom: y + 10 };
}

/** Room that the labels of a vertical axis need. */
export function labelRoom(scale: Scale): number {
  return Math.max(...scale.ticks.map(({ label }) => textWidth(label)), 8) + 10;
}

/** Horizontal lines with their numbers; the name of the axis stands above them, upright. */
export function verticalAxis({ left, right, top }: Plot, scale: Scale, label: string): string[] {
  const ticks = scale.ticks.map(({ value, label: text }) => {
    const y = scale.position(value);
    const line = element('path', { class: 'grid', d: `M${left} ${y.toFixed(1)}H${right}` });
    return line + textElement(text, { class: 'muted value', x: left - 8, y: y + 4, 'text-anchor': 'end' });
  });
  return [...ticks, textElement(label, { class: 'text', x: MARGIN, y: top - 14 })];
}

/** The base line with numbers below it, and the name of the axis under them. */
export function horizontalAxis(
  { left, right, top, bottom }: Plot,
  scale: Scale,
  label: string,
  grid: boolean,
): string[] {
  const ticks = scale.ticks.map(({ value, label: text }) => {
    const x = scale.position(value);
    const line = grid
      ? element('path', { class: 'grid', d: `M${x.toFixed(1)} ${top}V${bottom}` })
      : element('path', { class: 'axis', d: `M${x.toFixed(1)} ${bottom}v4` });
    return line + textElement(text, { class: 'muted value', x, y: bottom + 18, 'text-anchor': 'middle' });
  });
  const base = element('path', { class: 'axis', d: `M${left} ${bottom}H${right}` });
  return [
    ...ticks,
    base,
    textElement(label, { class: 'text', x: right, y: bottom + 38, 'text-anchor': 'end' }),
  ];
}

export function emptyNote({ left, right, top, bottom }: Plot): string {
  return textElement('no data', {
    class: 'muted',
    x: (left + right) / 2,
    y: (top + bottom) / 2,
    'text-anchor': 'middle',
  });
}
