#include "runtime/io/safetensors.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>

#include "moe_tune/error.hpp"
#include "tests/support/safetensors_files.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace moe_tune;
using namespace moe_tune::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

TensorFile some_tensors() {
  TensorFile file;
  file.add("small", ElementType::uint8, {3}, std::vector<std::uint8_t>{1, 2, 3})
      .add("b.weight", ElementType::bf16, {2, 2}, std::vector<std::uint16_t>{0x3f80, 0x4000, 0x4040, 0x4080})
      .add("a.weight", ElementType::fp32, {1, 2}, std::vector<float>{0.5f, -2.0f})
      .add("none", ElementType::fp16, {4, 0}, std::vector<std::uint16_t>{})
      .add("scalar", ElementType::int64, {}, std::vector<std::int64_t>{-7});
  return file;
}

bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

TEST_CASE("What is written is read back") {
  const TemporaryFolder folder;
  const TensorFile written = some_tensors();
  written.write(folder / "x.safetensors");
  const SafetensorsFile file(folder / "x.safetensors");
  REQUIRE(file.tensors().size() == written.tensors().size());
  for (const HostTensor& tensor : written.tensors()) {
    INFO(tensor.name);
    const HostTensor* found = file.find(tensor.name);
    REQUIRE(found != nullptr);
    CHECK(found->type == tensor.type);
    CHECK(found->shape == tensor.shape);
    CHECK(same_bytes(found->bytes, tensor.bytes));
    CHECK((found->bytes.empty() ||
           reinterpret_cast<std::uintptr_t>(found->bytes.data()) % static_cast<unsigned>(element_bits(found->type) / 8) == 0));
  }
  CHECK(file.tensors().front().name == "a.weight");
  CHECK(file.tensors().back().name == "small");
}

TEST_CASE("The order in which tensors are given does not change the file") {
  const TemporaryFolder folder;
  const TensorFile tensors = some_tensors();
  std::vector<HostTensor> reversed(tensors.tensors().rbegin(), tensors.tensors().rend());
  write_safetensors(folder / "a", tensors.tensors());
  write_safetensors(folder / "b", reversed);
  CHECK(read_bytes(folder / "a") == read_bytes(folder / "b"));
}

TEST_CASE("A file of no tensors") {
  const TemporaryFolder folder;
  write_safetensors(folder / "x", {});
  CHECK(SafetensorsFile(folder / "x").tensors().empty());
  write_file_atomic(folder / "y", safetensors_bytes("{}"));
  CHECK(SafetensorsFile(folder / "y").tensors().empty());
}

TEST_CASE("Tensors that cannot be written are refused, and nothing is") {
  const TemporaryFolder folder;
  const std::byte bytes[4] = {};
  const auto refused = [&](const HostTensor& first, const HostTensor& second, const std::string& message) {
    const std::vector<HostTensor> both = {first, second};
    CHECK_THROWS_AS(write_safetensors(folder / "x", both), UsageError);
    CHECK_THROWS_WITH(write_safetensors(folder / "x", both), Contains("/x: ") && Contains(message));
    CHECK(fs::is_empty(folder.path()));
  };
  const HostTensor good{"good", ElementType::fp32, {1}, bytes};
  refused(good, {"good", ElementType::fp16, {2}, bytes}, "two tensors named \"good\"");
  refused(good, {"__metadata__", ElementType::fp16, {2}, bytes}, "two tensors named \"__metadata__\"");
  refused(good, {"bad", ElementType::fp16, {3}, bytes}, "bad: F16 [3] takes 6 bytes; data_offsets has 4");
  refused(good, {"bad", ElementType::fp16, {-2}, bytes}, "expected an integer in [0, ");
}

TEST_CASE("A tensor that is not there is an error that says what is") {
  const TemporaryFolder folder;
  some_tensors().write(folder / "x");
  const SafetensorsFile file(folder / "x");
  CHECK(file.find("c.weight") == nullptr);
  CHECK(file.at("a.weight").shape == std::vector<std::int64_t>{1, 2});
  CHECK_THROWS_WITH(file.at("c.weight"), Contains("x: there is no tensor \"c.weight\" among its 5; near it: a.weight, b.weight"));
  CHECK_THROWS_WITH(file.at("quite else"), Contains("among its 5") && !Contains("near"));
}

TEST_CASE("A file stays readable when the object moves, and links to it are followed") {
  const TemporaryFolder folder;
  some_tensors().write(folder / "blob");
  fs::create_symlink(folder / "blob", folder / "link");
  SafetensorsFile first(folder / "link");
  const HostTensor* tensor = first.find("a.weight");
  SafetensorsFile second = std::move(first);
  CHECK(second.find("a.weight") == tensor);
  SafetensorsFile third(folder / "blob");
  third = std::move(second);
  CHECK(same_bytes(third.at("a.weight").bytes, some_tensors().tensors()[2].bytes));
  CHECK(third.path().filename() == "link");
}

TEST_CASE("Every type of the format has its size") {
  const auto [type, bits] = GENERATE(table<std::string, int>(
      {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},          {"I8", 8},
       {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16},        {"F8_E4M3FNUZ", 8},
       {"F16", 16},    {"BF16", 16},   {"I32", 32},    {"U32", 32},    {"F8_E5M2FNUZ", 8}, {"F32", 32},
       {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}));
  const auto found = find_element_type(type);
  REQUIRE(found.has_value());
  CHECK(element_bits(*found) == bits);
  CHECK(to_string(*found) == type);
  const TemporaryFolder folder;
  const std::string header = fmt::format(R"({{"t":{{"dtype":"{}","shape":[8],"data_offsets":[0,{}]}}}})", type, bits);
  write_file_atomic(folder / "x", safetensors_bytes(header, std::string(static_cast<std::size_t>(bits), 'x')));
  CHECK(SafetensorsFile(folder / "x").at("t").bytes.size() == static_cast<std::size_t>(bits));
}

TEST_CASE("Files of the safetensors library are read") {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(MOE_TUNE_SOURCE_DIR) / "tests/golden")) {
    if (!entry.is_directory()) continue;
    const SafetensorsFile file(entry.path() / "model.safetensors");
    CHECK(file.find("golden.out") != nullptr);
    ++files;
  }
  CHECK(files > 0);
}
