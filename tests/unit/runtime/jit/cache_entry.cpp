#include "runtime/jit/cache_entry.hpp"

#include <catch2/catch.hpp>

#include "generator/support/hash.hpp"

using namespace moe_tune;

namespace {

const std::string key(32, 'a');

CompiledKernel kernel() {
  const std::string log = "ptxas info    : Used 42 registers, 64 bytes smem\n";
  return {std::string("\x7f"
                      "ELF\0cubin",
                      10),
          log, parse_resource_report(log)};
}

/// `entry` with the bytes at `at` replaced and a checksum that fits again: damage that a checksum cannot see.
std::string forged(std::string entry, size_t at, std::string_view bytes) {
  entry.replace(at, bytes.size(), bytes);
  entry.resize(entry.size() - 32);
  return entry + hash_hex(entry);
}

}  // namespace

TEST_CASE("cache_entry: round trip") {
  for (const CompiledKernel& written : {kernel(), CompiledKernel{}}) {
    const auto read = decode_cache_entry(key, encode_cache_entry(key, written));
    REQUIRE(read);
    CHECK(read->cubin == written.cubin);
    CHECK(read->log == written.log);
    CHECK(read->resources == written.resources);
  }
}

TEST_CASE("cache_entry: the format is fixed") {
  const std::string entry = encode_cache_entry(key, kernel());
  CHECK(entry.substr(0, 8) == "moecubin");
  CHECK(entry.substr(8, 8) == std::string("\1\0\0\0\0\0\0\0", 8));
  CHECK(entry.substr(16, 32) == key);
  CHECK(entry.substr(48, 8) == std::string("\x0a\0\0\0\0\0\0\0", 8));
  CHECK(entry.substr(64, 10) == kernel().cubin);
  CHECK(entry.size() == 64 + kernel().cubin.size() + kernel().log.size() + 32);
}

TEST_CASE("cache_entry: every truncation and every extension is refused") {
  const std::string entry = encode_cache_entry(key, kernel());
  for (size_t length = 0; length < entry.size(); ++length) REQUIRE_FALSE(decode_cache_entry(key, entry.substr(0, length)));
  REQUIRE_FALSE(decode_cache_entry(key, entry + '\0'));
  REQUIRE_FALSE(decode_cache_entry(key, entry + entry));
}

TEST_CASE("cache_entry: every bit flip is refused") {
  const std::string entry = encode_cache_entry(key, kernel());
  for (size_t bit = 0; bit < 8 * entry.size(); ++bit) {
    std::string flipped = entry;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    REQUIRE_FALSE(decode_cache_entry(key, flipped));
  }
}

TEST_CASE("cache_entry: a sound entry of another key, version or shape is refused") {
  const std::string entry = encode_cache_entry(key, kernel());
  REQUIRE(decode_cache_entry(key, forged(entry, 0, "moecubin")));
  CHECK_FALSE(decode_cache_entry(std::string(32, 'b'), entry));
  CHECK_FALSE(decode_cache_entry(key, forged(entry, 0, "moecubiN")));
  CHECK_FALSE(decode_cache_entry(key, forged(entry, 8, "\2")));
  CHECK_FALSE(decode_cache_entry(key, forged(entry, 12, "\1")));
  CHECK_FALSE(decode_cache_entry(key, forged(entry, 48, "\x0b")));
  CHECK_FALSE(decode_cache_entry(key, forged(entry, 48, std::string(8, '\xff'))));
  CHECK_FALSE(decode_cache_entry(key, forged(entry, 56, std::string(8, '\xff'))));
  // Two lengths whose sum wraps around to the right one.
  CHECK_FALSE(decode_cache_entry(
      key, forged(entry, 48, std::string(7, '\0') + '\x80' + std::string(1, '\x3b') + std::string(6, '\0') + '\x80')));
}
