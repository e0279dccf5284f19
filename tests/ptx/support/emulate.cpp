#include "tests/ptx/support/emulate.hpp"

#include <algorithm>
#include <span>

#include "runtime/emulator/launch.hpp"
#include "runtime/emulator/tensor_map.hpp"

namespace moe_tune::test {

EmulatedFamily::EmulatedFamily(const InstructionFamily& family) : family_(family), kernel_(source(family)) {}

std::vector<std::uint32_t> EmulatedFamily::run(const MicroTest& test, std::uint64_t seed) const {
  using emulator::Use;
  emulator::GlobalMemory memory;
  const std::vector<std::uint32_t> before = output_before(test);
  const emulator::Allocation& input = memory.upload<std::uint32_t>("input", test.input);
  const emulator::Allocation& output = memory.upload<std::uint32_t>("output", before, Use::read_write);

  micro::Arguments arguments = {};
  for (std::size_t i = 0; i < test.maps.size(); ++i) {
    TensorMapDescription map = test.maps[i].map;
    map.address += (test.maps[i].buffer == MapOperand::Buffer::input ? input : output).address;
    arguments.maps[i] = emulator::encode_emulated(map);
  }
  arguments.input = static_cast<const unsigned*>(input.get());
  arguments.output = static_cast<unsigned*>(output.get());

  const emulator::Launch launch{.blocks = test.blocks,
                                .threads = test.threads,
                                .shared_bytes = test.shared_bytes,
                                .cluster = test.cluster,
                                .seed = seed,
                                .most_steps = 50'000'000};
  const std::string entry = entry_name(static_cast<std::size_t>(&test - family_.tests.data()));
  for (unsigned i = 0; i < test.launches; ++i) emulator::run(memory, launch, kernel_, entry.c_str(), arguments);
  const std::span<const std::uint32_t> words = output.as<std::uint32_t>();
  return {words.begin(), words.end()};
}

}  // namespace moe_tune::test
