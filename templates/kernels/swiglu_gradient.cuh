// The gradient of silu(gate) * up and of the routing weight that its row is multiplied by, and the activation once more.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
// A warp per row, which it reads once. Each element is read and written by one lane, so outputs may lie where inputs do. A row's
// sum is one of each lane, in the order of its columns, and then a tree over the lanes: the same whatever the grid.
#pragma once

#include "abi/row_operations.cuh"
#include "epilogue/swiglu.cuh"
#include "kernels/row_values.cuh"
#include "ptx/global.cuh"
#include "ptx/sync.cuh"
#include "schedule/row_count.cuh"
#include "schedule/slots.cuh"

namespace moe_tune {

template <DType Type>
struct SwigluGradient {
  static MOE_DEVICE void run(const abi::SwigluGradientArgs& args) {
    const int count = count_rows(args.gemm, args.E);
    const int warps = static_cast<int>(ptx::grid_size()) * (abi::row_operation_threads / 32);
    int row = static_cast<int>(ptx::block_index() * abi::row_operation_threads + ptx::thread_index()) / 32;
    int slot = slot_at(args, row, count);
    while (row < count) {
      const int next_slot = slot_at(args, row + warps, count);
      const float sum = activate(args, row, slot);
      if (slot >= 0 && args.d_topk_weights != nullptr) store_gradient(args, slot, sum);
      row += warps;
      slot = next_slot;
    }
  }

 private:
  static constexpr int in_flight = 2;

  /// What is read of 8 columns.
  struct Inputs {
    Words4 gradient;
    Words4 gate;
    Words4 up;
  };

  /// What is made of an element.
  struct Element {
    float d_gate;
    float d_up;
    float activation;
  };

  static MOE_DEVICE int slot_at(const abi::SwigluGradientArgs& args, int row, int count) {
    if (row >= count) return -1;
    return args.gemm.gather_indices == nullptr ? row : load_slot(args.gemm, row);
  }

  /// All of a row but d_topk_weights, this lane's part of which it returns; zeros for a bad slot.
  static MOE_DEVICE float activate(const abi::SwigluGradientArgs& args, int row, int slot) {
    const float weight = slot >= 0 && args.gemm.topk_weights != nullptr ? load_topk_weight<Type>(args.gemm, slot) : 1.0f;
    const int chunks = args.columns / 8;
    float sum = 0.0f;
    MOE_NO_UNROLL
    for (int first = static_cast<int>(ptx::lane_index()); first < chunks; first += 32 * in_flight) {
      Inputs inputs[in_flight] = {};
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        if (slot >= 0 && first + i * 32 < chunks) inputs[i] = load(args, row, first + i * 32);
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        if (first + i * 32 < chunks) sum += store(args, row, first + i * 32, inputs[i], weight);
      }
    }
    return sum;
  }

  static MOE_DEVICE char* chunk_of(const void* base, int row, int row_bytes, int chunk) {
    return ptx::advance(static_cast<char*>(const_cast<void*>(base)), row, row_bytes) + static_cast<i64>(chunk) * 16;
  }

  static MOE_DEVICE Words4 load_chunk(const char* address) { return ptx::load(reinterpret_cast<const Words4*>(address)); }

  static MOE_DEVICE Inputs load(const abi::SwigluGradientArgs& args, int row, int chunk) {
    const char* gate = chunk_of(args.gemm.pre_activation, row, args.gemm.pre_activation_row_bytes, chunk);
    return {load_chunk(chunk_of(args.gemm.x, row, args.gemm.x_row_bytes, chunk)), load_chunk(gate),
            load_chunk(gate + static_cast<i64>(args.columns) * 2)};
  }

  /// Returns the columns' part of the sum that d_topk_weights is.
  static MOE_DEVICE float store(const abi::SwigluGradientArgs& args, int row, int chunk, const Inputs& inputs, float weight) {
    const Values8 gradient = unpack_values<Type>(inputs.gradient);
    const Values8 gate = unpack_values<Type>(inputs.gate);
    const Values8 up = unpack_values<Type>(inputs.up);
    Values8 d_gate;
    Values8 d_up;
    Values8 activation;
    float sum = 0.0f;
    MOE_UNROLL
    for (int j = 0; j < 8; ++j) {
      const Element element = differentiate(gate.v[j], up.v[j], weight * gradient.v[j]);
      d_gate.v[j] = element.d_gate;
      d_up.v[j] = element.d_up;
      activation.v[j] = weight * element.activation;
      if (args.scaled_input) {
        sum = ptx::fused_multiply_add(element.d_gate, gate.v[j], ptx::fused_multiply_add(element.d_up, up.v[j], sum));
      } else {
        sum = ptx::fused_multiply_add(gradient.v[j], element.activation, sum);
      }
    }
    char* const d_pre = chunk_of(args.gemm.y, row, args.gemm.y_row_bytes, chunk);
    ptx::store(static_cast<void*>(d_pre), pack_values<Type>(d_gate));
    ptx::store(static_cast<void*>(d_pre + static_cast<i64>(args.columns) * 2), pack_values<Type>(d_up));
    if (args.activation != nullptr) {
      ptx::store(static_cast<void*>(chunk_of(args.activation, row, args.activation_row_bytes, chunk)),
                 pack_values<Type>(activation));
    }
    return sum;
  }

  static MOE_DEVICE Element differentiate(float gate, float up, float gradient) {
    const float share = sigmoid(gate);
    const float silu = gate * share;
    const float slope = share * ptx::fused_multiply_add(gate, 1.0f - share, 1.0f);
    return {gradient * (up * slope), gradient * silu, silu * up};
  }

  static MOE_DEVICE void store_gradient(const abi::SwigluGradientArgs& args, int slot, float sum) {
    MOE_UNROLL
    for (u32 mask = 16; mask > 0; mask /= 2) sum += ptx::shuffle_xor(sum, mask);
    if (ptx::lane_index() != 0) return;
    if (args.d_topk_weights_f32) {
      ptx::store(static_cast<float*>(args.d_topk_weights) + slot, sum);
    } else {
      ptx::store(static_cast<u16*>(args.d_topk_weights) + slot, static_cast<u16>(ptx::pack<Type>(sum, 0.0f)));
    }
  }
};

}  // namespace moe_tune
