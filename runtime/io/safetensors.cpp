#include "runtime/io/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "generator/support/file.hpp"
#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"
#include "runtime/io/near_names.hpp"
#include "runtime/io/safetensors_header.hpp"

namespace moe_tune {
namespace {

constexpr std::size_t alignment = 8;

std::string header_of(std::span<const HostTensor* const> tensors, const std::filesystem::path& path) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};  // transformers asks for it
  std::size_t begin = 0;
  for (const HostTensor* tensor : tensors) {
    const std::size_t end = begin + tensor->bytes.size();
    if (header.contains(tensor->name)) throw UsageError(fmt::format("{}: two tensors named \"{}\"", path.string(), tensor->name));
    header[tensor->name] = {{"dtype", to_string(tensor->type)}, {"shape", tensor->shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = json_text(header);
  text.resize((text.size() + alignment - 1) / alignment * alignment, ' ');
  return text;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path path)
    : path_(std::move(path)), file_(path_), tensors_(parse_safetensors(file_.bytes(), path_.string())) {}

const HostTensor* SafetensorsFile::find(std::string_view name) const {
  const auto at = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                   [](const HostTensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

const HostTensor& SafetensorsFile::at(std::string_view name) const {
  if (const HostTensor* tensor = find(name)) return *tensor;
  std::vector<std::string_view> names;
  for (const HostTensor& tensor : tensors_) names.push_back(tensor.name);
  throw UsageError(fmt::format("{}: there is no tensor \"{}\" among its {}{}", path_.string(), name, tensors_.size(),
                               near_names(names, name)));
}

void write_safetensors(const std::filesystem::path& path, std::span<const HostTensor> tensors) {
  std::vector<const HostTensor*> order;
  for (const HostTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const HostTensor* a, const HostTensor* b) {
    return std::pair(element_bits(b->type), std::string_view(a->name)) <
           std::pair(element_bits(a->type), std::string_view(b->name));
  });
  const std::string header = header_of(order, path);
  std::string file;
  for (std::size_t i = 0; i < 8; ++i) file.push_back(static_cast<char>(header.size() >> 8 * i & 0xff));
  file += header;
  for (const HostTensor* tensor : order) {
    file.append(reinterpret_cast<const char*>(tensor->bytes.data()), tensor->bytes.size());
  }
  parse_safetensors(std::as_bytes(std::span(file)), path.string());  // whatever is wrong with the tensors, readers say it
  write_file_atomic(path, file);
}

}  // namespace moe_tune
