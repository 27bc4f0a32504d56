import { Random } from '@frugal/tensor-core';

/** Seconds at which requests arrive, until `seconds`: a Poisson process of `rate` a second. The same seed, the same arrivals. */
export async function arrivals(rate: number, seconds: number, seed: number): Promise<readonly number[]> {
  const random = new Random(seed);
  const times: number[] = [];
  for (let time = 0; ; ) {
    for (const uniform of await random.uniform([64]).toFloat32()) {
      time += -Math.log(1 - uniform) / rate;
      if (time >= seconds) return times;
      times.push(time);
    }
  }
}
