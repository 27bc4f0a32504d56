#pragma once
// Every kernel family: the file of the same name in native/kernels, compiled once per ISA level. A new family is one
// file and one word here; build.mjs finds the file by itself.
#define FRUGAL_FAMILIES(X) \
  X(creation)              \
  X(unary)                 \
  X(binary)                \
  X(reduce)                \
  X(movement)              \
  X(indexing)              \
  X(ordering)              \
  X(matmul)                \
  X(linear)                \
  X(linalg)                \
  X(softmax)               \
  X(sampling)              \
  X(activation)            \
  X(norm)                  \
  X(rope)                  \
  X(attention)             \
  X(cached_attention)      \
  X(attention_backward)    \
  X(loss)                  \
  X(optimizer)             \
  X(quantized_optimizer)   \
  X(packed)                \
  X(grouped)               \
  X(packed_rows)           \
  X(packed_store)          \
  X(packed_unpack)         \
  X(packed_parts)          \
  X(packed_bitmap)         \
  X(super_blocks)          \
  X(simple_blocks)         \
  X(probe)

// Families that gain from AVX512-BF16 and VNNI; the others use their AVX-512 version at that level.
#define FRUGAL_BF16_FAMILIES(X) \
  X(matmul)                     \
  X(linear)                     \
  X(grouped)                    \
  X(packed)                     \
  X(packed_rows)                \
  X(probe)

// Families that gain from AMX tiles; the others use their AVX512-BF16 version at that level.
#define FRUGAL_AMX_FAMILIES(X) \
  X(matmul)                    \
  X(linear)                    \
  X(grouped)                   \
  X(attention)                 \
  X(packed_rows)               \
  X(probe)
