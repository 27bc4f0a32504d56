#include "harness.hpp"

using namespace frugal;
using namespace frugal::test;

int main() {
  int failures = 0;
  for (Isa isa : available_isas()) {
    Suite suite(isa);
    test_matmul(suite);
    test_elementwise(suite);
    test_reduce(suite);
    test_movement(suite);
    test_rows(suite);
    test_attention(suite);
    test_packed(suite);
    test_grouped(suite);
    test_packed_rows(suite);
    test_packed_floats(suite);
    test_joining(suite);
    test_other(suite);
    std::printf("native kernels, %s: %d checks, %d failed\n", isa_name(isa), suite.checks, suite.failures);
    failures += suite.failures;
  }
  return failures == 0 ? 0 : 1;
}
