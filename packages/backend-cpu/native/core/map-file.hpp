#pragma once
#include <stddef.h>

#include <string>

namespace frugal {

/** A file in memory, shared by its handle and the ArrayBuffers that show parts of it; the last one unmaps it. */
struct MappedFile {
  void* data;
  size_t bytes;
  int owners;
};

/**
 * Maps a whole file, with one owner. Writes would stay in private copies of its pages and never reach the file.
 * Returns null and says why in `problem` when that fails.
 */
MappedFile* map_file(const char* path, std::string& problem);

/** Gives back the pages of a range; they come from the file again when they are touched, without what was written. */
void discard_pages(MappedFile* file, size_t offset, size_t length);

/** Gives up one ownership. Owners live on one JavaScript thread, so nothing is locked. */
void release_file(MappedFile* file);

} // namespace frugal
