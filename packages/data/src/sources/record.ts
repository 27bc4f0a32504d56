/** One value of a file of many, with the name of its place for messages. */
export interface SourceRecord {
  readonly place: string;
  readonly value: unknown;
}
