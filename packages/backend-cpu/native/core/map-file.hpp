#pragma once
#include <stddef.h>

#include <string>

namespace frugal {

/** A file in memory, shared by its handle and the ArrayBuffers that show parts of it; the last one unmaps it. */
struct MappedFile {
  void* data;
  size_t bytes;
  int owners;
  /** Stays open: only by it the page cache can be told to forget. */
  int descriptor;
};

/**
 * Maps a whole file, with one owner. Writes would stay in private copies of its pages and never reach the file.
 * Returns null and says why in `problem` when that fails.
 */
MappedFile* map_file(const char* path, std::string& problem);

/**
 * Gives back the pages of a range; they come from the file again when they are touched, without what was written. With
 * `cached` they leave the page cache as well, unless another process has them mapped.
 */
void discard_pages(MappedFile* file, size_t offset, size_t length, bool cached);

/** Begins to read the pages of a range, all with one request, and does not wait for them. */
void prefetch_pages(MappedFile* file, size_t offset, size_t length);

/** Gives up one ownership. Owners live on one JavaScript thread, so nothing is locked. */
void release_file(MappedFile* file);

} // namespace frugal
