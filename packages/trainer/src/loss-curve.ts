const BLOCKS = '▁▂▃▄▅▆▇█';

/** The losses of a whole run as a few means of equally many steps: when there is no more room, neighbours are joined. */
export class LossCurve {
  private sums: number[] = [];
  private counts: number[] = [];
  private stepsPerBin = 1;

  /** Holds between `bins` / 2 and `bins` means, once as many steps were seen. */
  constructor(private readonly bins: number) {}

  add(loss: number): void {
    if (!Number.isFinite(loss)) return;
    const last = this.sums.length - 1;
    if (last >= 0 && this.counts[last] < this.stepsPerBin) {
      this.sums[last] += loss;
      this.counts[last]++;
      return;
    }
    if (this.sums.length === this.bins) this.joinNeighbours();
    this.sums.push(loss);
    this.counts.push(1);
  }

  means(): number[] {
    return this.sums.map((sum, i) => sum / this.counts[i]);
  }

  private joinNeighbours(): void {
    const join = (list: readonly number[]) =>
      list.flatMap((value, i) => (i % 2 === 0 ? [value + (list[i + 1] ?? 0)] : []));
    this.sums = join(this.sums);
    this.counts = join(this.counts);
    this.stepsPerBin *= 2;
  }
}

/** One block per number, from the lowest (▁) to the highest (█); with more numbers than `width` the last ones. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(Math.max(0, values.length - Math.max(0, width)));
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  const level = (value: number) => (high > low ? Math.round(((value - low) / (high - low)) * 7) : 0);
  return width > 0 ? shown.map((value) => BLOCKS[level(value)]).join('') : '';
}
