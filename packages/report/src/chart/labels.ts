import type { Plot } from './frame.js';

/** A rectangle in pixels; x and y are its top left corner. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Height of a line of label text. */
export const LABEL_HEIGHT = 16;
const GAP = 4;

export function around(x: number, y: number, radius: number): Box {
  return { x: x - radius, y: y - radius, width: 2 * radius, height: 2 * radius };
}

/** Boxes around the pieces of a line, wide enough that text beside them stays readable. */
export function segmentBoxes(points: readonly (readonly [x: number, y: number])[]): Box[] {
  return points.slice(1).map(([x, y], i) => {
    const [fromX, fromY] = points[i];
    const size = { width: Math.abs(x - fromX) + 2, height: Math.abs(y - fromY) + 2 };
    return { x: Math.min(x, fromX) - 1, y: Math.min(y, fromY) - 1, ...size };
  });
}

/** Puts the label of each point on that side of it where it covers least and stays inside the plot. */
export function placeLabels(
  points: readonly { readonly x: number; readonly y: number; readonly width: number }[],
  {
    radius,
    obstacles,
    plot,
  }: { readonly radius: number; readonly obstacles: readonly Box[]; readonly plot: Plot },
): Box[] {
  const placed: Box[] = [];
  for (const { x, y, width } of points) {
    const cost = (box: Box) =>
      [...obstacles, ...placed].reduce((sum, other) => sum + overlap(box, other), outside(box, plot));
    const choices = sides(x, y, width, radius);
    const costs = choices.map(cost);
    placed.push(choices[costs.indexOf(Math.min(...costs))]);
  }
  return placed;
}

/** Best first: right, above right, below right, above, below, left, above left, below left. */
function sides(x: number, y: number, width: number, radius: number): Box[] {
  const [right, left, middle] = [x + radius, x - radius - width, x - width / 2];
  const [above, below, level] = [y - radius - LABEL_HEIGHT, y + radius, y - LABEL_HEIGHT / 2];
  const corners: readonly (readonly [number, number])[] = [
    [right + GAP, level],
    [right, above],
    [right, below],
    [middle, above - GAP],
    [middle, below + GAP],
    [left - GAP, level],
    [left, above],
    [left, below],
  ];
  return corners.map(([boxX, boxY]) => ({ x: boxX, y: boxY, width, height: LABEL_HEIGHT }));
}

function overlap(a: Box, b: Box): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

/** Leaving the plot costs more than covering something. */
function outside(box: Box, { left, right, top, bottom }: Plot): number {
  const horizontal = Math.max(0, left - box.x) + Math.max(0, box.x + box.width - right);
  return 100 * (horizontal + Math.max(0, top - box.y) + Math.max(0, box.y + box.height - bottom));
}
