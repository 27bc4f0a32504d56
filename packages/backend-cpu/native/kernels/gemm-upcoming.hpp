#pragma once
// Memory that products to come will read, fetched towards the core a few lines at a time while another is computed:
// packing then reads caches, where it would wait for memory while nothing is multiplied.
#include "../simd/vector.hpp"

namespace frugal::FRUGAL_ISA {

class Upcoming {
 public:
  /** `rows` rows of `bytes` each, `stride` bytes from one to the next. At most BLOCKS of them. */
  void add(const void* data, int64_t bytes, int64_t stride, int64_t rows) {
    if (bytes <= 0 || rows <= 0 || count_ == BLOCKS) return;
    const bool together = stride == bytes;
    const Block block{static_cast<const char*>(data), together ? bytes * rows : bytes, stride, together ? 1 : rows};
    lines_ += block.rows * ((block.bytes + LINE - 1) / LINE);
    blocks_[count_++] = block;
    if (count_ == 1) begin();
  }

  /** All of it within this many calls of `fetch`. */
  void spread(int64_t calls) { lines_per_call_ = calls > 0 ? (lines_ + calls - 1) / calls : 0; }

  __attribute__((always_inline)) void fetch() {
    for (int64_t i = 0; i < lines_per_call_; i++) {
      __builtin_prefetch(at_, 0, 2);
      at_ += LINE;
      if (at_ >= end_) advance();
    }
  }

 private:
  static constexpr int BLOCKS = 3;
  static constexpr int64_t LINE = 64;

  struct Block {
    const char* data;
    int64_t bytes, stride, rows;
  };

  void begin() {
    at_ = blocks_[current_].data;
    end_ = at_ + blocks_[current_].bytes;
  }

  /** To the next row, or the next block, or to nothing behind the last one. In line, since a call would drive the sums of a tile out of the registers. */
  __attribute__((always_inline)) void advance() {
    Block& block = blocks_[current_];
    if (--block.rows > 0) block.data += block.stride;
    else if (++current_ == count_) {
      lines_per_call_ = 0;
      return;
    }
    begin();
  }

  Block blocks_[BLOCKS];
  int count_ = 0, current_ = 0;
  int64_t lines_ = 0, lines_per_call_ = 0;
  const char *at_ = nullptr, *end_ = nullptr;
};

} // namespace frugal::FRUGAL_ISA
