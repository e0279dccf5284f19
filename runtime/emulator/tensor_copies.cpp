// Bulk copies through tensor maps.
#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "runtime/emulator/grid_run.hpp"
#include "runtime/emulator/tensor_map.hpp"
#include "runtime/reference/half.hpp"

namespace moe_tune::emulator {

namespace {

template <class T, class Add>
void add_each(std::byte* target, const std::byte* source, std::size_t bytes, Add&& add) {
  for (std::size_t i = 0; i < bytes; i += sizeof(T)) {
    T a, b;
    std::memcpy(&a, target + i, sizeof(T));
    std::memcpy(&b, source + i, sizeof(T));
    a = add(a, b);
    std::memcpy(target + i, &a, sizeof(T));
  }
}

bool can_add(MapElement type) {
  return type == MapElement::bf16 || type == MapElement::fp16 || type == MapElement::f32 || type == MapElement::u32;
}

void add_elements(MapElement type, std::byte* target, const std::byte* source, std::size_t bytes) {
  const auto add_half = [](DType dtype) {
    return [dtype](std::uint16_t a, std::uint16_t b) { return from_float(to_float(a, dtype) + to_float(b, dtype), dtype); };
  };
  if (type == MapElement::bf16) add_each<std::uint16_t>(target, source, bytes, add_half(DType::bf16));
  if (type == MapElement::fp16) add_each<std::uint16_t>(target, source, bytes, add_half(DType::fp16));
  if (type == MapElement::f32) add_each<float>(target, source, bytes, std::plus<float>());
  if (type == MapElement::u32) add_each<std::uint32_t>(target, source, bytes, std::plus<std::uint32_t>());
}

}  // namespace

TensorMapDescription GridRun::tensor_map(const void* map) const {
  abi::TensorMap bytes;
  const auto address = reinterpret_cast<std::uint64_t>(map);
  if (address % alignof(abi::TensorMap) != 0) fault(fmt::format("the tensor map at {:#x} is not 64-byte aligned", address));
  // A kernel parameter, or in global memory.
  const void* source = address < GlobalMemory::first_address
                           ? map
                           : global_place(address, sizeof(bytes), alignof(abi::TensorMap), false, "a tensor map").data();
  std::memcpy(&bytes, source, sizeof(bytes));
  try {
    return decode_emulated(bytes);
  } catch (const std::exception& error) {
    fault(error.what());
  }
}

void GridRun::tensor_prefetch(const void* map) { tensor_map(map); }

std::vector<GridRun::TensorChunk> GridRun::tensor_chunks(const TensorCopy& copy, const TensorMapDescription& map, bool write,
                                                         const char* name) const {
  const std::span<const int> coordinates(copy.coordinates, copy.rank);
  if (const std::string problem = copy_problem(map, coordinates, copy.shared_address, write); !problem.empty()) {
    fault(fmt::format("{}: {}", name, problem));
  }
  data_place(copy.shared_address, box_bytes(map), 128, name);
  std::vector<TensorChunk> chunks;
  bool any_inside = false;
  for_each_chunk(map, coordinates, copy.shared_address, [&](const BoxChunk& chunk) {
    TensorChunk piece{data_place(chunk.shared_address, chunk_bytes, chunk_bytes, name), {}, 0, 0};
    if (chunk.begin < chunk.end) {
      any_inside = true;
      piece.begin = write ? 0 : static_cast<std::size_t>(chunk.begin);
      piece.bytes = write ? chunk_bytes : static_cast<std::size_t>(chunk.end - chunk.begin);
      piece.global = global_place(chunk.global_address + piece.begin, piece.bytes, 1, write, name);
    }
    chunks.push_back(piece);
  });
  // The hardware may look at the memory where such a box would lie, and fault when there is none.
  if (!any_inside && !write) {
    std::uint64_t start = 0;
    bool first = true;
    for_each_chunk(map, coordinates, copy.shared_address, [&](const BoxChunk& chunk) {
      if (std::exchange(first, false)) start = chunk.global_address;
    });
    const Allocation* allocation = memory_.find(start);
    if (allocation == nullptr || start - allocation->address >= allocation->bytes) {
      fault(fmt::format("{}: the whole box at ({}) is outside its tensor and begins where no memory is; skip such boxes", name,
                        fmt::join(coordinates, ", ")));
    }
  }
  return chunks;
}

/// Touches the words that lie wholly in the rows of a box. One at the end of a row may be shared with a neighbour, like the parts
/// of words that store_global() stores.
void GridRun::touch_rows(const std::vector<TensorChunk>& chunks, bool write, const Access& access) {
  constexpr std::size_t word = 4;
  for (std::size_t i = 0; i < chunks.size();) {
    const GlobalPlace start = chunks[i].global;
    std::size_t end = start.offset + chunks[i].bytes;
    const bool inside = chunks[i++].bytes > 0;
    if (!inside) continue;
    while (i < chunks.size() && chunks[i].bytes > 0 && chunks[i].global.offset == end &&
           chunks[i].global.allocation == start.allocation) {
      end += chunks[i++].bytes;
    }
    const std::size_t first = (start.offset + word - 1) / word * word, last = end / word * word;
    if (first < last) touch_global({start.allocation, first}, last - first, write, access);
  }
}

void GridRun::tensor_load(const TensorCopy& copy) {
  maybe_preempt();
  const TensorMapDescription map = tensor_map(copy.map);
  const std::vector<TensorChunk> chunks = tensor_chunks(copy, map, false, "tensor load");
  Load load;
  load.piece_bytes = chunk_bytes;
  for (const TensorChunk& chunk : chunks) {
    load.offsets.push_back(chunk.shared.offset);
  }
  load.touch_source = [&](const Access& access) { touch_rows(chunks, false, access); };
  load.read = [chunks](std::byte* data) {
    for (const TensorChunk& chunk : chunks) {
      std::memset(data, 0, chunk_bytes);
      if (chunk.bytes > 0) std::memcpy(data + chunk.begin, chunk.global.data(), chunk.bytes);
      data += chunk_bytes;
    }
  };
  load_to_shared(copy.mbarrier, copy.multicast, copy.cta_mask, Touch::tensor_load, std::move(load));
}

void GridRun::tensor_store(const TensorCopy& copy) {
  maybe_preempt();
  const TensorMapDescription map = tensor_map(copy.map);
  if (copy.add && !can_add(map.type)) fault("a reducing tensor store on a map of a type that the emulator does not add");
  const std::vector<TensorChunk> chunks = tensor_chunks(copy, map, true, "tensor store");
  for (const TensorChunk& chunk : chunks) {
    touch_shared(chunk.shared, chunk_bytes, false, bulk_access(Touch::tensor_store, Own::bulk_reads));
  }
  touch_rows(chunks, true, bulk_access(copy.add ? Touch::tensor_reduce : Touch::tensor_store, Own::bulk_writes));
  auto data = std::make_shared<std::vector<std::byte>>(chunks.size() * chunk_bytes);
  start_bulk_store(
      [chunks, data] {
        std::byte* next = data->data();
        for (const TensorChunk& chunk : chunks) {
          std::memcpy(next, chunk.shared.data(), chunk_bytes);
          next += chunk_bytes;
        }
      },
      [chunks, data, add = copy.add, type = map.type] {
        const std::byte* next = data->data();
        for (const TensorChunk& chunk : chunks) {
          if (chunk.bytes > 0 && add) {
            add_elements(type, chunk.global.data(), next + chunk.begin, chunk.bytes);
          } else if (chunk.bytes > 0) {
            std::memcpy(chunk.global.data(), next + chunk.begin, chunk.bytes);
          }
          next += chunk_bytes;
        }
      });
}

}  // namespace moe_tune::emulator
