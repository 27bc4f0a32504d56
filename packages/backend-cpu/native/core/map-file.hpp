#pragma once
#include <stddef.h>

#include <string>

namespace frugal {

struct MappedFile {
  void* data;
  size_t bytes;
};

/** Maps a whole file read-only. Returns null and says why in `problem` when that fails. */
MappedFile* map_file(const char* path, std::string& problem);

/** Gives the memory back now; the handle stays valid and empty. */
void unmap_file(MappedFile* file);

/** Gives the memory back, if that has not been done, and ends the handle. */
void close_file(MappedFile* file);

} // namespace frugal
