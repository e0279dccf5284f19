#include "runtime/launch/rows_maps.hpp"

#include <catch2/catch.hpp>

#include "tests/support/sm90_configs.hpp"

using namespace moe_tune;

namespace {

constexpr std::uint64_t x_address = 0x7f0000000000, w_address = 0x7f1000000000, y_address = 0x7f2000000000,
                        pre_address = 0x7f3000000000, workspace_address = 0x7f4000000000;

struct Call {
  Problem problem{.E = 5, .N = 464, .K = 200, .top_k = 2};
  KernelConfig config = parse_config("sm90_192x128x64_weights_pingpong_w12_s4_c1_x1_queue_mfast_dispatch");
  abi::GroupedGemmArgs args{};
  LaunchResources resources{reinterpret_cast<void*>(workspace_address), nullptr};

  Call() {
    args.x = reinterpret_cast<const void*>(x_address);
    args.w = reinterpret_cast<const void*>(w_address);
    args.y = reinterpret_cast<void*>(y_address);
    args.pre_activation = reinterpret_cast<void*>(pre_address);
    args.x_row_bytes = 416;
    args.w_row_bytes = 432;
    args.w_expert_bytes = 200'464;
    args.y_row_bytes = 960;
    args.pre_activation_row_bytes = 976;
    args.M = 70;
  }

  RowsMaps maps() const { return rows_maps(problem, config, args, resources); }
};

}  // namespace

TEST_CASE("forward maps: every description is one that the driver takes") {
  for (const DType dtype : {DType::bf16, DType::fp16}) {
    for (const int kind : {0, 1, 2, 3}) {
      Call call;
      call.problem.dtype = dtype;
      call.problem.permute_x = kind == 1 || kind == 2;
      call.problem.fuse_swiglu = call.problem.keep_pre_activation = kind == 2;
      call.problem.permute_y = kind == 3;
      for (const KernelConfig& config : test::sm90_configs(call.problem)) {
        call.config = config;
        const RowsMaps maps = call.maps();
        for (const auto& map : {maps.x, maps.w, maps.y, maps.gate, maps.up}) {
          if (!map) continue;
          INFO(to_string(config));
          CHECK_NOTHROW(check(*map));
          CHECK(map->type == (dtype == DType::bf16 ? MapElement::bf16 : MapElement::fp16));
          CHECK(map->swizzle == Swizzle::bytes128);
          CHECK(map->box[0] == 64);
        }
        CHECK(maps.w.has_value());
        CHECK(maps.x.has_value() == (config.gather != Gather::in_kernel));
        CHECK(maps.y.has_value() == (kind != 3));
        CHECK(maps.gate.has_value() == (kind == 2));
        CHECK(maps.up.has_value() == (kind == 2));
      }
    }
  }
}

TEST_CASE("forward maps: tokens come from x in expert order, or from the workspace that they are dispatched to") {
  Call call;
  TensorMapDescription x = call.maps().x.value();
  CHECK(x.rank == 2);
  CHECK(x.address == x_address);
  CHECK(x.dims[0] == 200);
  CHECK(x.dims[1] == 70);
  CHECK(x.strides[0] == 416);
  CHECK(x.box[1] == 32);
  CHECK(workspace_bytes(call.problem, call.config, 70) == 0);

  call.problem.permute_x = true;
  x = call.maps().x.value();
  CHECK(x.address == workspace_address);
  CHECK(x.strides[0] == 400);
  CHECK(workspace_bytes(call.problem, call.config, 70) == 70 * 400);
  CHECK(workspace_bytes(call.problem, call.config, 50'000'000) == std::size_t{20'000'000'000});

  call.config.BLOCK_M = 16;
  CHECK(call.maps().x->box[1] == 16);
  call.config.gather = Gather::copy_ahead;
  CHECK(call.maps().x->address == workspace_address);
  CHECK(workspace_bytes(call.problem, call.config, 70) == 70 * 400 + 4 * (1 + 3));  // a counter, and a flag for each 32 rows
  const abi::RowsSm90Args args = rows_sm90_args(call.problem, call.config, call.args, call.resources,
                                                [](const TensorMapDescription&) { return abi::TensorMap{}; });
  CHECK(args.rows == reinterpret_cast<void*>(workspace_address));
  CHECK(reinterpret_cast<std::uint64_t>(args.copied) == workspace_address + 70 * 400);
  call.config.gather = Gather::in_kernel;
  CHECK(workspace_bytes(call.problem, call.config, 70) == 0);
}

TEST_CASE("forward maps: weights by their strides; with SwiGLU a box for the gate and one for up") {
  Call call;
  TensorMapDescription w = call.maps().w.value();
  CHECK(w.address == w_address);
  CHECK(w.rank == 3);
  CHECK(w.dims[0] == 200);
  CHECK(w.dims[1] == 464);
  CHECK(w.dims[2] == 5);
  CHECK(w.strides[0] == 432);
  CHECK(w.strides[1] == 200'464);
  CHECK(w.box[1] == 128);
  CHECK(w.box[2] == 1);
  call.problem.fuse_swiglu = true;
  CHECK(call.maps().w->box[1] == 64);
}

TEST_CASE("forward maps: outputs as windows by their end, as high as what a consumer stores") {
  Call call;
  call.problem.fuse_swiglu = call.problem.keep_pre_activation = true;
  TensorMapDescription y = call.maps().y.value();
  CHECK(y.rank == 3);
  CHECK(y.address == y_address - 192 * 960);
  CHECK(y.dims[0] == 232);
  CHECK(y.dims[1] == 192);
  CHECK(y.dims[2] == 70 + 192 + 1);
  CHECK(y.strides[0] == 960);
  CHECK(y.strides[1] == 960);
  CHECK(y.box[1] == 32);
  const TensorMapDescription gate = call.maps().gate.value();
  CHECK(gate.address == pre_address - 192 * 976);
  CHECK(gate.dims[0] == 232);
  CHECK(gate.strides[1] == 976);
  const TensorMapDescription up = call.maps().up.value();
  CHECK(up.address == gate.address + 464);
  CHECK(up.dims == gate.dims);

  call.config = parse_config("sm90_128x256x64_tokens_coop_w12_s3_c1_x1_queue_mfast_dispatch");
  y = call.maps().y.value();
  CHECK(y.dims[1] == 64);
  CHECK(y.address == y_address - 64 * 960);
  call.config = parse_config("sm90_16x64x64_weights_coop_w8_s4_c2_x1_static_mfast_dispatch");
  CHECK(call.maps().y->box[1] == 16);
}

TEST_CASE("forward maps: the argument has what is described, and nothing where nothing is") {
  Call call;
  call.problem.permute_y = true;
  unsigned queue = 0;
  call.resources.queue = &queue;
  const abi::RowsSm90Args args =
      rows_sm90_args(call.problem, call.config, call.args, call.resources, [](const TensorMapDescription& map) {
        abi::TensorMap encoded{};
        encoded.opaque[0] = map.address;
        return encoded;
      });
  CHECK(args.gemm.M == 70);
  CHECK(args.queue == &queue);
  CHECK(args.x.opaque[0] == x_address);
  CHECK(args.w.opaque[0] == w_address);
  CHECK(args.y.opaque[0] == 0);
  CHECK(args.gate.opaque[0] == 0);
  CHECK(args.up.opaque[0] == 0);
}
