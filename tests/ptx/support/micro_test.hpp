// One description of a micro-test for the emulator and the GPU: a small kernel around an instruction, what goes in, and what must
// come out, worked out on the host by a formula of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/launch/tensor_map.hpp"
#include "tests/ptx/kernels/arguments.cuh"

namespace moe_tune::test {

/// A tensor map of the kernel: `map.address` is counted from the first byte of a buffer, and may wrap below it.
struct MapOperand {
  enum class Buffer { input, output } buffer = Buffer::input;
  TensorMapDescription map;
};

struct MicroTest {
  std::string name;    ///< distinct within the family
  std::string kernel;  ///< a function of micro:: with its template arguments, e.g. "load_box<2, 128>"
  unsigned blocks = 1;
  unsigned threads = 32;
  unsigned cluster = 1;
  unsigned shared_bytes = 0;
  unsigned launches = 1;  ///< in one stream; each may start before the one before it has ended (ptx/grid_dependency.cuh)
  std::vector<MapOperand> maps = {};
  std::vector<std::uint32_t> input = {};
  std::vector<std::uint32_t> output = {};  ///< before the launch, of the size of `expected`; empty: poison
  std::vector<std::uint32_t> expected = {};
  /// Negative: the words of the output are compared exactly. Else they are floats, and may be off by
  /// tolerance * max(|expected|, scale). NaN matches any NaN.
  double tolerance = -1;
  double scale = 0;

  bool exact() const { return tolerance < 0; }
};

/// Tests of one instruction family, whose kernels are in one file.
struct InstructionFamily {
  std::string name;
  std::string file;  ///< below tests/ptx/kernels/
  std::vector<MicroTest> tests;
};

/// What an output word holds that no kernel wrote.
inline constexpr std::uint32_t poison = 0xdeadbeef;

/// The output before the launch.
std::vector<std::uint32_t> output_before(const MicroTest& test);

/// What separates two outputs of the test: the first differing words and how many differ. Empty where the test cannot tell them
/// apart.
std::string difference(const MicroTest& test, std::span<const std::uint32_t> expected, std::span<const std::uint32_t> actual);

/// The archs that the family's file names.
std::set<std::string> archs(const InstructionFamily& family);

/// One CUDA source with all kernels of the family; that of tests[i] is called entry_name(i).
std::string source(const InstructionFamily& family);
std::string entry_name(std::size_t index);

}  // namespace moe_tune::test
