#include "runtime/io/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include "generator/support/checked.hpp"
#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"

namespace moe_tune {
namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::size_t max_dimensions = 64;  // as torch and numpy

struct Parts {
  std::string_view header;
  std::span<const std::byte> data;
};

Parts split(std::span<const std::byte> file, const std::string& source) {
  if (file.size() < length_bytes) {
    throw UsageError(fmt::format("{}: no safetensors file: {} bytes cannot hold the length of a header", source, file.size()));
  }
  std::uint64_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) length = length << 8 | std::to_integer<std::uint64_t>(file[i]);
  const auto rest = file.subspan(length_bytes);
  if (length > rest.size()) {
    throw UsageError(fmt::format("{}: no safetensors file, or one that is cut short: it claims a header of {} bytes and has {}",
                                 source, length, rest.size()));
  }
  if (length > max_json_bytes) {
    throw UsageError(fmt::format("{}: a header of {} bytes; the limit is {}", source, length, max_json_bytes));
  }
  const auto header = rest.first(length);
  if (header.empty() || header.front() != std::byte{'{'}) {
    throw UsageError(fmt::format("{}: no safetensors file: the header does not begin with \"{{\"", source));
  }
  return {{reinterpret_cast<const char*>(header.data()), header.size()}, rest.subspan(length)};
}

ElementType read_type(const JsonView& tensor) {
  const JsonView dtype = tensor.at("dtype");
  const std::string spelling = dtype.string();
  const auto type = find_element_type(spelling);
  if (!type) dtype.fail(fmt::format("\"{:.40}\" is no dtype of the safetensors format", spelling));
  return *type;
}

std::vector<std::int64_t> read_shape(const JsonView& tensor) {
  const JsonView shape = tensor.at("shape");
  const auto elements = shape.elements();
  if (elements.size() > max_dimensions) shape.fail(fmt::format("{} dimensions; at most {}", elements.size(), max_dimensions));
  std::vector<std::int64_t> dimensions;
  dimensions.reserve(elements.size());
  for (const JsonView& dimension : elements) dimensions.push_back(dimension.integer<std::int64_t>(0));
  return dimensions;
}

std::span<const std::byte> read_bytes(const JsonView& tensor, std::span<const std::byte> data) {
  const JsonView offsets = tensor.at("data_offsets");
  const auto ends = offsets.elements();
  if (ends.size() != 2) offsets.fail(fmt::format("expected [begin, end], found {} elements", ends.size()));
  const auto begin = ends[0].integer<std::size_t>(0);
  const auto end = ends[1].integer<std::size_t>(0);
  if (begin > end || end > data.size()) {
    offsets.fail(fmt::format("[{}, {}] is no part of the {} bytes of data", begin, end, data.size()));
  }
  return data.subspan(begin, end - begin);
}

HostTensor read_tensor(const std::string& name, const JsonView& json, std::span<const std::byte> data) {
  HostTensor tensor{name, read_type(json), read_shape(json), read_bytes(json, data)};
  const std::string where = json.where();
  std::int64_t bits = 1;
  for (const std::int64_t dimension : tensor.shape) bits = checked_mul(bits, dimension, where);
  bits = checked_mul(bits, element_bits(tensor.type), where);
  if (bits % 8 != 0) json.fail(fmt::format("{} bits are no whole bytes", bits));
  if (static_cast<std::size_t>(bits / 8) != tensor.bytes.size()) {
    json.fail(fmt::format("{} {} takes {} bytes; data_offsets has {}", to_string(tensor.type), describe_shape(tensor.shape),
                          bits / 8, tensor.bytes.size()));
  }
  return tensor;
}

void require_strings(const JsonView& metadata) {
  for (const auto& [key, value] : metadata.members()) value.string();
}

/// Every byte of the data belongs to one tensor.
void require_partition(std::vector<HostTensor>& tensors, std::span<const std::byte> data, const std::string& source) {
  std::sort(tensors.begin(), tensors.end(), [](const HostTensor& a, const HostTensor& b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  std::size_t covered = 0;
  for (const HostTensor& tensor : tensors) {
    const auto begin = static_cast<std::size_t>(tensor.bytes.data() - data.data());
    if (begin != covered) {
      throw UsageError(fmt::format("{}: {:.200}: begins at byte {} of the data; the tensors before it end at {}", source,
                                   tensor.name, begin, covered));
    }
    covered += tensor.bytes.size();
  }
  if (covered != data.size()) {
    throw UsageError(fmt::format("{}: {} bytes of data; the tensors end at {}", source, data.size(), covered));
  }
}

}  // namespace

std::vector<HostTensor> parse_safetensors(std::span<const std::byte> file, const std::string& source_name) {
  const auto [header, data] = split(file, source_name);
  std::vector<HostTensor> tensors;
  constexpr std::string_view least = R"("":{"dtype":"F4","shape":[],"data_offsets":[0,0]})";
  tensors.reserve(header.size() / least.size());  // as growing would hold two copies for a while
  for_each_json_member(header, source_name, [&, data = data](const std::string& name, const JsonView& value) {
    if (name == "__metadata__") {
      require_strings(value);
    } else {
      tensors.push_back(read_tensor(name, value, data));
    }
  });
  require_partition(tensors, data, source_name);
  std::sort(tensors.begin(), tensors.end(), [](const HostTensor& a, const HostTensor& b) { return a.name < b.name; });
  return tensors;
}

}  // namespace moe_tune
