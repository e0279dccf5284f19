#include "runtime/jit/cache_entry.hpp"

#include <bit>
#include <cassert>
#include <cstdint>
#include <cstring>

#include "generator/support/hash.hpp"

namespace moe_tune {
namespace {

static_assert(std::endian::native == std::endian::little, "the entry's integers are copied as they are");

constexpr size_t hash_digits = 32;

struct Header {
  char magic[8] = {'m', 'o', 'e', 'c', 'u', 'b', 'i', 'n'};
  uint32_t version = 1;
  uint32_t reserved = 0;
  char key[hash_digits] = {};
  uint64_t cubin_length = 0;
  uint64_t log_length = 0;
};
static_assert(sizeof(Header) == 64, "the header has no padding");

}  // namespace

std::string encode_cache_entry(std::string_view key, const CompiledKernel& kernel) {
  assert(key.size() == hash_digits);
  Header header;
  std::memcpy(header.key, key.data(), hash_digits);
  header.cubin_length = kernel.cubin.size();
  header.log_length = kernel.log.size();
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += kernel.cubin;
  bytes += kernel.log;
  bytes += hash_hex(bytes);
  return bytes;
}

std::optional<CompiledKernel> decode_cache_entry(std::string_view key, std::string_view bytes) {
  if (bytes.size() < sizeof(Header) + hash_digits) return std::nullopt;
  const std::string_view body = bytes.substr(0, bytes.size() - hash_digits);
  if (hash_hex(body) != bytes.substr(body.size())) return std::nullopt;

  Header header;
  std::memcpy(&header, body.data(), sizeof header);
  const Header expected;
  if (std::memcmp(header.magic, expected.magic, sizeof header.magic) != 0 || header.version != expected.version ||
      header.reserved != expected.reserved || std::string_view(header.key, hash_digits) != key)
    return std::nullopt;
  const std::string_view payload = body.substr(sizeof header);
  // Written so that no sum of two lengths from the file is ever formed.
  if (header.cubin_length > payload.size() || header.log_length != payload.size() - header.cubin_length) return std::nullopt;

  CompiledKernel kernel;
  kernel.cubin = payload.substr(0, header.cubin_length);
  kernel.log = payload.substr(header.cubin_length);
  kernel.resources = parse_resource_report(kernel.log);
  return kernel;
}

}  // namespace moe_tune
