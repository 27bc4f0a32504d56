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

/** Gives up one ownership. Owners live on one JavaScript thread, so nothing is locked. */
void release_file(MappedFile* file);

} // namespace frugal
