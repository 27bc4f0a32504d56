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
  void* data = bytes == 0 ? nullptr : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  const int reason = errno;
  close(descriptor);
  if (data == MAP_FAILED) {
    problem = std::string("[mapFile] cannot map ") + path + ": " + std::strerror(reason) + ".";
    return nullptr;
  }
  return new MappedFile{data, bytes, 1};
}

void discard_pages(MappedFile* file, size_t offset, size_t length) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t start = (offset + page - 1) / page * page;
  const size_t end = (offset + length == file->bytes ? offset + length + page - 1 : offset + length) / page * page;
  if (start < end) madvise(static_cast<char*>(file->data) + start, end - start, MADV_DONTNEED);
}

void release_file(MappedFile* file) {
  if (--file->owners > 0) return;
  if (file->data) munmap(file->data, file->bytes);
  delete file;
}

} // namespace frugal
