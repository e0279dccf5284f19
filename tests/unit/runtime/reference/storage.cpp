#include "runtime/reference/storage.hpp"

#include <catch2/catch.hpp>
#include <cmath>

using namespace moe_tune;

TEST_CASE("storage: values are rounded to their type, ties to even") {
  const double third = 1.0 / 3;
  CHECK(round_to(Storage::float64, third) == third);
  CHECK(round_to(Storage::float32, third) == 1.0f / 3.0f);
  CHECK(round_to(Storage::bf16, 1 + 0x1p-8) == 1);
  CHECK(round_to(Storage::bf16, 1 + 0x3p-8) == 1 + 0x1p-6);
  CHECK(round_to(Storage::fp16, 1 + 0x1p-11) == 1);
  CHECK(round_to(Storage::fp16, 70000) == HUGE_VAL);
  CHECK(std::isnan(round_to(Storage::bf16, std::nan(""))));
  for (const Storage storage : {Storage::float64, Storage::float32, Storage::bf16, Storage::fp16}) {
    const double unit = unit_roundoff(storage);
    CHECK(round_to(storage, 1 + 2 * unit) == 1 + 2 * unit);
    CHECK(round_to(storage, 1 + unit) == 1);
  }
}

TEST_CASE("storage: rows of tensors") {
  const std::vector<float> floats = {1, 2, 3, 4};
  CHECK(TensorView{floats.data(), Storage::float32}.row(1, 2) == std::vector<double>{3, 4});
  const std::vector<double> doubles = {1, 2, 3, 4};
  CHECK(TensorView{doubles.data(), Storage::float64}.row(0, 3) == std::vector<double>{1, 2, 3});
  const std::vector<std::uint16_t> halves = {0x3f80, 0x3c00};
  CHECK(TensorView{halves.data(), storage_of(DType::bf16)}.at(0) == 1);
  CHECK(TensorView{halves.data(), storage_of(DType::fp16)}.at(1) == 1);
}
