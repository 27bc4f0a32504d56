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
  if (data == MAP_FAILED) {
    close(descriptor);
    problem = std::string("[mapFile] cannot map ") + path + ": " + std::strerror(reason) + ".";
    return nullptr;
  }
  return new MappedFile{data, bytes, 1, descriptor};
}

namespace {

/** The whole pages inside a range: those at its ends may hold something else. */
struct Pages {
  size_t start, end;
};

Pages pages_inside(const MappedFile* file, size_t offset, size_t length) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t end = offset + length == file->bytes ? offset + length + page - 1 : offset + length;
  return {(offset + page - 1) / page * page, end / page * page};
}

} // namespace

void discard_pages(MappedFile* file, size_t offset, size_t length, bool cached) {
  const auto [start, end] = pages_inside(file, offset, length);
  if (start >= end) return;
  madvise(static_cast<char*>(file->data) + start, end - start, MADV_DONTNEED);
#ifdef POSIX_FADV_DONTNEED
  if (cached) posix_fadvise(file->descriptor, static_cast<off_t>(start), static_cast<off_t>(end - start), POSIX_FADV_DONTNEED);
#else
  (void)cached;
#endif
}

void prefetch_pages(MappedFile* file, size_t offset, size_t length) {
  const auto [start, end] = pages_inside(file, offset, length);
  if (start < end) madvise(static_cast<char*>(file->data) + start, end - start, MADV_WILLNEED);
}

void release_file(MappedFile* file) {
  if (--file->owners > 0) return;
  if (file->data) munmap(file->data, file->bytes);
  close(file->descriptor);
  delete file;
}

} // namespace frugal
