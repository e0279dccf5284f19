// Files that want to be believed, or to break the reader.
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string>

#include "generator/support/json.hpp"
#include "moe_tune/error.hpp"
#include "runtime/io/safetensors.hpp"
#include "runtime/io/safetensors_header.hpp"
#include "tests/support/safetensors_files.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {
std::atomic<std::size_t> largest_allocation = 0;
}

// Watches what the reader asks for. A family of its own: sanitizers take it amiss when theirs is freed by another.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  std::size_t before = largest_allocation;
  while (before < bytes && !largest_allocation.compare_exchange_weak(before, bytes)) {
  }
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new(std::size_t bytes) {
  if (void* memory = operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

std::vector<HostTensor> parse(std::string_view file) { return parse_safetensors(std::as_bytes(std::span(file)), "f"); }

/// What any bytes may lead to: an error, or tensors that share out the data.
void sound_or_refused(std::string_view file) {
  try {
    std::size_t covered = 0;
    for (const HostTensor& tensor : parse(file)) {
      REQUIRE(tensor.bytes.data() >= static_cast<const void*>(file.data()));
      REQUIRE(tensor.bytes.data() + tensor.bytes.size() <= static_cast<const void*>(file.data() + file.size()));
      covered += tensor.bytes.size();
    }
    REQUIRE(covered <= file.size() - 8);
  } catch (const UsageError& error) {
    REQUIRE_THAT(error.what(), StartsWith("f:"));
  }
}

std::string small_file() {
  return safetensors_bytes(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},)"
                           R"("b":{"dtype":"U8","shape":[4],"data_offsets":[12,16]}}   )",
                           "0123456789abcdef");
}

}  // namespace

TEST_CASE("Headers that are not sound are refused") {
  const auto [header, bytes, message] = GENERATE(table<std::string, int, std::string>({
      {R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, "does not fit 64 bits"},
      {R"({"t":{"dtype":"F32","shape":[9223372036854775807,0],"data_offsets":[0,0]}})", 0, ""},  // nothing, of 64 bits
      {R"({"t":{"dtype":"F64","shape":[288230376151711744],"data_offsets":[0,0]}})", 0, "does not fit 64 bits"},
      {R"({"t":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0]}})", 0, "expected an integer"},
      {R"({"t":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}})", 0, "expected an integer"},
      {R"({"t":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})", 0, "t.shape[0]: expected an integer in [0, "},
      {R"({"t":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "expected an integer, found 1.0"},
      {R"({"t":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}})", 1, "expected an integer"},
      {R"({"t":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, "expected an integer"},
      {R"({"t":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, "expected an array"},
      {R"({"t":{"dtype":"U8","data_offsets":[0,1]}})", 1, "the key \"shape\" is missing"},
      {R"({"t":{"shape":[1],"data_offsets":[0,1]}})", 1, "the key \"dtype\" is missing"},
      {R"({"t":{"dtype":"U8","shape":[1]}})", 1, "the key \"data_offsets\" is missing"},
      {R"({"t":{"dtype":"F33","shape":[1],"data_offsets":[0,1]}})", 1, "t.dtype: \"F33\" is no dtype"},
      {R"({"t":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}})", 1, "t.dtype: \"u8\" is no dtype"},
      {R"({"t":{"dtype":8,"shape":[1],"data_offsets":[0,1]}})", 1, "expected a string, found 8"},
      {R"({"t":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, "12 bits are no whole bytes"},
      {R"({"t":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", 1, "t: U8 [2] takes 2 bytes; data_offsets has 1"},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}})", 1, "[0, 2] is no part of the 1 bytes of data"},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "[1, 0] is no part"},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1, "expected an integer in [0, "},
      {R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[9223372036854775807,9223372036854775807]}})", 1, "is no part"},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})", 1, "expected an integer"},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "expected [begin, end], found 1 elements"},
      {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", 1, "expected [begin, end], found 3 elements"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3,
       "b: begins at byte 1 of the data; the tensors before it end at 2"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
       "b: begins at byte 0 of the data; the tensors before it end at 1"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})", 3,
       "b: begins at byte 2 of the data; the tensors before it end at 1"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2, "begins at byte 1"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2, "2 bytes of data; the tensors end at 1"},
      {R"({})", 1, "1 bytes of data; the tensors end at 0"},
      {R"({"t":{},"t":{}})", 0, "t: the key \"dtype\" is missing"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0,
       "duplicate key \"a\""},
      {R"({"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}})", 0, "duplicate key \"dtype\""},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__.a: expected a string, found 1"},
      {R"({"__metadata__":"a"})", 0, "__metadata__: expected an object"},
      {R"({"t":[]})", 0, "t: expected an object"},
      {R"([])", 0, "does not begin with \"{\""},
      {R"( {})", 0, "does not begin with \"{\""},
      {"", 0, "does not begin with \"{\""},
      {"{} x", 0, "f:1:"},
      {"{", 0, "f:1:"},
      {std::string("{}\0", 3), 0, "a zero byte is not JSON"},
      {"{\"\xff\":{}}", 0, "f:1:"},
  }));
  INFO(header);
  const std::string file = safetensors_bytes(header, std::string(static_cast<std::size_t>(bytes), 'x'));
  if (message.empty()) {
    CHECK_NOTHROW(parse(file));
    return;
  }
  CHECK_THROWS_AS(parse(file), UsageError);
  CHECK_THROWS_WITH(parse(file), StartsWith("f:") && Contains(message));
}

TEST_CASE("Tensors of no elements may share a place with others") {
  const std::string file = safetensors_bytes(
      R"({"z":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
      R"("b":{"dtype":"F32","shape":[0,9],"data_offsets":[2,2]},"c":{"dtype":"U8","shape":[],"data_offsets":[2,3]}})",
      "xyz");
  const auto tensors = parse(file);
  REQUIRE(tensors.size() == 4);
  CHECK(tensors[2].name == "c");
  CHECK(tensors[2].bytes.front() == std::byte{'z'});
}

TEST_CASE("A header that claims to be long is refused without memory for it") {
  const auto [length, message] = GENERATE(table<std::uint64_t, std::string>({
      {std::uint64_t{1} << 63, "it claims a header of 9223372036854775808 bytes and has 2"},
      {~std::uint64_t{0}, "it claims a header of 18446744073709551615 bytes and has 2"},
      {3, "it claims a header of 3 bytes and has 2"},
  }));
  std::string file = safetensors_bytes("{}");
  std::memcpy(file.data(), &length, sizeof length);
  largest_allocation = 0;
  std::string error;
  try {
    parse(file);
  } catch (const UsageError& e) {
    error = e.what();
  }
  const std::size_t largest = largest_allocation;
  CHECK_THAT(error, Contains(message));
  CHECK(largest < 10000);
}

TEST_CASE("A header over the limit is refused before it is read") {
  const std::string file = safetensors_bytes("{}" + std::string(max_json_bytes, ' '));
  largest_allocation = 0;
  CHECK_THROWS_WITH(parse(file), "f: a header of 16777218 bytes; the limit is 16777216");
  CHECK(largest_allocation < 10000);
}

TEST_CASE("Values that no header has are not collected") {
  const std::string many = [] {
    std::string text = "{\"t\":[0";
    for (int i = 0; i < 1000000; ++i) text += ",0";
    return text + "]}";
  }();
  CHECK_THROWS_WITH(parse(safetensors_bytes(many)), Contains("more than 10000 values in one member"));
  std::string shape = "0";
  for (int i = 0; i < 64; ++i) shape += ",1";
  CHECK_THROWS_WITH(parse(safetensors_bytes(R"({"t":{"dtype":"U8","data_offsets":[0,0],"shape":[)" + shape + "]}}")),
                    Contains("65 dimensions; at most 64"));
}

TEST_CASE("A file cut short anywhere is refused") {
  const std::string file = small_file();
  REQUIRE(parse(file).size() == 2);
  for (std::size_t length = 0; length < file.size(); ++length) {
    INFO(length);
    const std::vector<char> exact(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length));  // sanitizers see its end
    CHECK_THROWS_AS(parse({exact.data(), exact.size()}), UsageError);
  }
}

TEST_CASE("A file with any bit flipped is sound or refused") {
  const std::string good = small_file();
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::vector<char> file(good.begin(), good.end());
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ 1 << bit % 8);
    INFO("bit " << bit);
    sound_or_refused({file.data(), file.size()});
  }
}

TEST_CASE("What is no regular file is refused without waiting") {
  const TemporaryFolder folder;
  REQUIRE(mkfifo((folder / "fifo").c_str(), 0600) == 0);
  std::filesystem::create_directory(folder / "folder");
  std::filesystem::create_symlink(folder / "nowhere", folder / "dangling");
  std::filesystem::create_symlink("/dev/zero", folder / "device");
  for (const char* name : {"fifo", "folder", "dangling", "device", "absent"}) {
    INFO(name);
    CHECK_THROWS_AS(SafetensorsFile(folder / name), EnvironmentError);
    CHECK_THROWS_WITH(SafetensorsFile(folder / name), Contains(folder.path().string()) || Contains("/dev/zero"));
  }
  write_file_atomic(folder / "empty", "");
  CHECK_THROWS_AS(SafetensorsFile(folder / "empty"), UsageError);
}
