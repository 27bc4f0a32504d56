import type { Document } from './documents.js';

/** What becomes of a document: itself or a changed one to keep, or the reason why it goes. */
export type Verdict = { readonly keep: Document } | { readonly reason: string };

export interface FilterCounts {
  documents: number;
  /** UTF-8 bytes of text read. */
  bytes: number;
  kept: number;
  keptBytes: number;
  /** Reason → documents that went. */
  readonly removed: Record<string, number>;
}

export interface FilterTargets {
  readonly judge: (document: Document, position: number) => Verdict;
  readonly onKept?: (document: Document) => Promise<void>;
  readonly onRemoved?: (document: Document, reason: string) => Promise<void>;
  readonly onProgress?: (counts: FilterCounts) => void;
}

/** Judges documents one after another; what each reason removed is counted. */
export async function filterDocuments(
  documents: AsyncIterable<Document> | Iterable<Document>,
  { judge, onKept, onRemoved, onProgress }: FilterTargets,
): Promise<FilterCounts> {
  const counts: FilterCounts = { documents: 0, bytes: 0, kept: 0, keptBytes: 0, removed: {} };
  for await (const document of documents) {
    const verdict = judge(document, counts.documents++);
    counts.bytes += Buffer.byteLength(document.text);
    if ('keep' in verdict) {
      counts.kept++;
      counts.keptBytes += Buffer.byteLength(verdict.keep.text);
      await onKept?.(verdict.keep);
    } else {
      counts.removed[verdict.reason] = (counts.removed[verdict.reason] ?? 0) + 1;
      await onRemoved?.(document, verdict.reason);
    }
    onProgress?.(counts);
  }
  return counts;
}
