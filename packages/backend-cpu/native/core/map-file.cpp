#include "map-file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace frugal {

MappedFile* map_file(const char* path, std::string& problem) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (descriptor < 0 || fstat(descriptor, &status) != 0) {
    problem = std::string("[mapFile] cannot open ") + path + ": " + std::strerror(errno) + ".";
    if (descriptor >= 0) close(descriptor);
    return nullptr;
  }
  const size_t bytes = static_cast<size_t>(status.st_size);
  // An empty file cannot be mapped, and needs no memory.
  void* data = bytes == 0 ? nullptr : mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int reason = errno;
  close(descriptor);
  if (data == MAP_FAILED) {
    problem = std::string("[mapFile] cannot map ") + path + ": " + std::strerror(reason) + ".";
    return nullptr;
  }
  return new MappedFile{data, bytes};
}

void unmap_file(MappedFile* file) {
  if (file->data) munmap(file->data, file->bytes);
  file->data = nullptr;
  file->bytes = 0;
}

void close_file(MappedFile* file) {
  unmap_file(file);
  delete file;
}

} // namespace frugal
