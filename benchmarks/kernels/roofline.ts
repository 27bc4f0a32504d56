import type { Peaks } from '@frugal/backend-cpu';
import { type ScatterGuide, scatterChart } from '@frugal/report';
import { median } from '../shared/statistics.js';
import type { KernelCase } from './case.js';

/** A measured case beside what bounds it. */
export interface Point {
  readonly one: KernelCase;
  /** 10⁹ operations (or bytes, where there are none) per second. */
  readonly speed: number;
  /** Share of the peak of its bound. */
  readonly share: number;
}

export function pointOf(one: KernelCase, samples: readonly number[], peaks: Peaks): Point {
  const speed = median(samples);
  const seconds = (one.operations || one.bytes) / speed;
  const reached = one.bound === 'read' ? one.bytes / seconds : speed;
  return { one, speed, share: reached / peaks[one.bound] };
}

/** Speed over operations per byte, below the roofs of one number of threads (Williams et al. 2009). */
export function rooflineChart(points: readonly Point[], peaks: Peaks, subtitle: string): string {
  const drawn = points.filter(({ one }) => one.operations > 0);
  const intensity = ({ one }: Point) => one.operations / one.bytes;
  const [low, high] = [0.25, Math.max(64, ...drawn.map(intensity)) * 2];
  const roof = (name: string, top: number): ScatterGuide => ({
    name: `${name}: ${top.toFixed(0)}`,
    points: [
      [low, low * peaks.read],
      [top / peaks.read, top],
      [high, top],
    ],
  });
  const families = [...new Set(drawn.map(({ one }) => one.name.split(' ').slice(0, 2).join(' ')))];
  return scatterChart({
    title: 'Kernels below the roofs of this machine',
    subtitle,
    xLabel: 'operations per byte',
    yLabel: '10⁹ operations per second',
    xScale: 'log',
    yScale: 'log',
    width: 900,
    height: 560,
    guides: [roof('f32', peaks.f32), roof('bf16', peaks.bf16), roof('int8', peaks.int8)],
    series: families.map((name) => ({
      name,
      points: drawn
        .filter(({ one }) => one.name.startsWith(`${name} `) || one.name === name)
        .map((point) => ({
          x: intensity(point),
          y: point.speed,
          label: point.one.name.slice(name.length + 1),
        })),
    })),
  });
}
