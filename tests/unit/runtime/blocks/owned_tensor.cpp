#include "moe_tune/owned_tensor.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "moe_tune/error.hpp"

using namespace moe_tune;

TEST_CASE("A tensor owns its memory, and a copy has memory of its own") {
  OwnedTensor tensor(TensorType::int32, {2, 3});
  const std::vector<std::int32_t> values = {1, 2, 3, 4, 5, 6};
  tensor.write(values.data(), tensor.bytes());
  OwnedTensor copy = tensor.to(cpu_device);
  const std::int32_t seven = 7;
  tensor.write(&seven, 4, 8);
  std::vector<std::int32_t> read(6);
  copy.read(read.data(), copy.bytes());
  CHECK(read == values);
  tensor.read(read.data(), 4, 8);
  CHECK(read[0] == 7);
  const OwnedTensor flat = std::move(copy).reshaped({6});
  CHECK(flat.shape() == std::vector<std::int64_t>{6});
  CHECK_THROWS_AS(OwnedTensor(TensorType::bf16, {4}).reshaped({5}), UsageError);
}

TEST_CASE("Tensors without elements, and none at all") {
  const OwnedTensor none;
  CHECK_FALSE(none);
  CHECK(none.elements() == 0);
  const OwnedTensor empty(TensorType::fp32, {0, 8});
  CHECK(empty);
  CHECK(empty.bytes() == 0);
  CHECK(empty.data() == nullptr);
  CHECK(empty.to(cpu_device).shape() == empty.shape());
}

TEST_CASE("Sizes that cannot be are errors") {
  CHECK_THROWS_AS(OwnedTensor(TensorType::fp32, {-1}), UsageError);
  CHECK_THROWS_AS(OwnedTensor(TensorType::fp32, {INT64_MAX, 2}), UsageError);
}
