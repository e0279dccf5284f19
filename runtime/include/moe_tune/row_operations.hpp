// What moves or transforms rows around the grouped GEMMs of an MoE block: the C++ API.
#pragma once

#include <cstdint>
#include <memory>

#include "moe_tune/grouped_gemm.hpp"

namespace moe_tune {

// Device memory of one call each; nothing is owned or kept. Elements are bf16 or fp16, arithmetic is float32 and rounds once.
// Tensors of rows are 16-byte aligned, the other pointers to their element. Columns and row strides are multiples of 8 elements;
// strides are between the starts of rows, 0 means contiguous. A slot is token * top_k + choice, M is the number of slots.

/// Rows in expert order, made once for several GEMMs:
///   rows[r, :] = x[gather_indices[r] / slots_per_row, :]   for r < sum(m_sizes)
/// with topk_weights times topk_weights[gather_indices[r]], rounded (Llama4 scales what goes into its experts). Zeros where
/// gather_indices[r] is outside [0, M), which DeviceStatus reports. Rows past the sum are not touched. Bad m_sizes are cut and
/// reported, here and below.
///
/// With slot_rows the same by source row:
///   rows[slot_rows[s], :] = x[s / slots_per_row, :]   for all slots s with slot_rows[s] >= 0
/// times topk_weights[s]. A row of x is read once, however many rows it becomes, and not at all when it becomes none: with few
/// bytes to read the time is that of writing. A slot_rows[s] past the last row is left out, and DeviceStatus reports it as a bad
/// gather index; rows that no slot has are not touched.
struct PermuteRowsArgs {
  const void* x = nullptr;               ///< (M / slots_per_row, columns)
  void* rows = nullptr;                  ///< (M, columns); overlaps nothing else
  const void* gather_indices = nullptr;  ///< (M) slot at each sorted row; null with slot_rows
  const void* m_sizes = nullptr;         ///< (E) rows of each expert; read on the device; null: all M rows, and with slot_rows
  const void* slot_rows = nullptr;       ///< (M) int32: the sorted row of each slot (Router writes them), distinct; negative: the
                                         ///< slot has none; null: gather_indices say which
  const void* topk_weights = nullptr;    ///< (M) by slot; null: rows are copied as they are
  DType dtype = DType::bf16;             ///< counts with topk_weights
  WeightType topk_weights_type = WeightType::storage;
  IndexType gather_indices_type = IndexType::int32;
  IndexType m_sizes_type = IndexType::int32;
  std::int64_t M = 0;
  int E = 0;              ///< with m_sizes
  int slots_per_row = 1;  ///< top_k: x is in token order; 1: in slot order; at most 32 with slot_rows
  std::int64_t columns = 0;
  std::int64_t x_row_stride = 0;
  std::int64_t rows_row_stride = 0;
};

/// The way back, to slot order: out[gather_indices[r], :] = rows[r, :] for r < sum(m_sizes). A row whose slot is outside [0, M) is
/// not stored, and DeviceStatus reports it; rows of out that no r has are not touched.
struct UnpermuteRowsArgs {
  const void* rows = nullptr;            ///< (M, columns)
  void* out = nullptr;                   ///< (M, columns) in slot order; overlaps nothing else
  const void* gather_indices = nullptr;  ///< (M) slot at each sorted row; distinct
  const void* m_sizes = nullptr;         ///< (E) rows of each expert; read on the device; null: all M rows
  IndexType gather_indices_type = IndexType::int32;
  IndexType m_sizes_type = IndexType::int32;
  std::int64_t M = 0;
  int E = 0;  ///< with m_sizes
  std::int64_t columns = 0;
  std::int64_t rows_row_stride = 0;
  std::int64_t out_row_stride = 0;
};

/// SwiGLU: out[r, :] = silu(x[r, :columns]) * x[r, columns:] for r < sum(m_sizes), silu(gate) = gate * sigmoid(gate), in float32
/// and rounded once. Rows past the sum are not touched.
struct ActAndMulArgs {
  const void* x = nullptr;        ///< (M, 2 columns): gate, up
  void* out = nullptr;            ///< (M, columns); overlaps nothing else
  const void* m_sizes = nullptr;  ///< (E) rows of each expert; read on the device; null: all M rows
  DType dtype = DType::bf16;
  IndexType m_sizes_type = IndexType::int32;
  std::int64_t M = 0;
  int E = 0;  ///< with m_sizes
  std::int64_t columns = 0;
  std::int64_t x_row_stride = 0;
  std::int64_t out_row_stride = 0;
};

/// The combine of a block's forward, or the sum over a token's rows of the dX of its first GEMM:
///   out[t, :] = addend[t, :] + the sum over c = 0, 1, ..., top_k - 1, in this order, of topk_weights[s] * row(s), s = t * top_k + c
///   row(s)    = rows[s, :], or in expert order rows[slot_rows[s], :]; left out of the sum where slot_rows[s] is negative
/// Rows that are left out are not read. Without slot_rows every slot's row is. The sum begins with the addend where there is one.
/// In expert order a slot_rows[s] past the last row is left out too, and DeviceStatus reports it as a bad gather index.
struct CombineRowsArgs {
  const void* rows = nullptr;          ///< (tokens * top_k, columns)
  void* out = nullptr;                 ///< (tokens, columns); overlaps nothing else
  const void* addend = nullptr;        ///< (tokens, columns); may be out, with the same row stride; null: none
  const void* topk_weights = nullptr;  ///< (tokens, top_k); null: a plain sum
  const void* slot_rows = nullptr;     ///< (tokens, top_k) int32: the sorted row of each slot (Router writes them); negative: the
                                       ///< slot has none, as its expert is another process's
  bool expert_order = false;           ///< rows are in expert order: needs slot_rows; otherwise these only say which slots have a row
  const void* token_count = nullptr;   ///< one int32 on the device: at most so many tokens; others' out is not touched; null: all
  DType dtype = DType::bf16;
  WeightType topk_weights_type = WeightType::storage;
  std::int64_t tokens = 0;
  int top_k = 1;
  std::int64_t columns = 0;
  std::int64_t rows_row_stride = 0;
  std::int64_t out_row_stride = 0;
  std::int64_t addend_row_stride = 0;
};

/// From the gradient g of the second GEMM's input back through a = silu(gate) * up and the weighted combine, and the scaled a
/// once more. For the rows r < sum(m_sizes) in expert order, s = gather_indices[r] (without them s = r), w = topk_weights[s] (1):
///   d_pre_activation[r, :I] = w * g * up * silu'(gate)      silu(x) = x * sigmoid(x)
///   d_pre_activation[r, I:] = w * g * silu(gate)            silu'(x) = sigmoid(x) * (1 + x * (1 - sigmoid(x)))
///   activation[r, :]        = w * a                         the input of dW of the second GEMM when its dY is not scaled
///   d_topk_weights[s]       = the sum over the columns of g * a
/// g is the dX of the second GEMM whose dY are the rows of d_out as they are, not scaled by w: then d_topk_weights is the
/// gradient of out[t] = sum_c w y. A row whose slot is outside [0, M) is zeros, and DeviceStatus reports it. Rows past the sum
/// and d_topk_weights of slots without a row are not touched. Reruns give the same bits; slots are distinct.
///
/// With scaled_input the rows that became pre_activation had been scaled by their weights before the first GEMM (Llama4), and the
/// combine is a plain sum. pre_activation has w in it, so nothing is scaled here, w = 1 above, and
///   d_topk_weights[s]       = the sum over the columns of both halves, d_gate * gate + d_up * up
/// in float32, of d_pre_activation before it is rounded. pre_activation being linear in w, this is w times the gradient of w, the
/// gradient by log w, without a division by what may be 0: the gradient of a sigmoid's logit is (1 - w) times it.
///
/// Below a gate of about -87 sigmoid counts as 0. d_pre_activation may be pre_activation and activation may be d_activation (same
/// address, same row stride). Otherwise outputs overlap nothing.
struct SwigluGradientArgs {
  const void* d_activation = nullptr;    ///< (M, I): g
  const void* pre_activation = nullptr;  ///< (M, 2 I): gate, up
  void* d_pre_activation = nullptr;      ///< (M, 2 I)
  void* activation = nullptr;            ///< (M, I); null: not wanted
  const void* topk_weights = nullptr;    ///< (M) by slot; null: 1; null with scaled_input
  void* d_topk_weights = nullptr;        ///< (M) by slot; null: not wanted
  const void* gather_indices = nullptr;  ///< (M) slot at each row; null: rows are in slot order
  const void* m_sizes = nullptr;         ///< (E) rows of each expert; read on the device; null: all M rows
  DType dtype = DType::bf16;
  WeightType topk_weights_type = WeightType::storage;
  WeightType d_topk_weights_type = WeightType::storage;
  IndexType gather_indices_type = IndexType::int32;
  IndexType m_sizes_type = IndexType::int32;
  std::int64_t M = 0;
  int E = 0;                  ///< with m_sizes
  bool scaled_input = false;  ///< pre_activation comes from scaled rows
  std::int64_t columns = 0;   ///< I
  std::int64_t d_activation_row_stride = 0;
  std::int64_t pre_activation_row_stride = 0;
  std::int64_t d_pre_activation_row_stride = 0;
  std::int64_t activation_row_stride = 0;
};

/// The operations on one device. Thread-safe: any threads may call them, on any streams of the device.
///
/// Every call enqueues one kernel on `stream` and returns, without synchronising with the device and without memory of its own.
/// It can be captured into a CUDA graph and replayed with other data. The first call compiles all of them (or finds them in the
/// cache) and loads them; prepare() does that ahead of time, and must have before a capture. They throw UsageError for bad
/// arguments, and with LibraryOptions::check_each_call for bad device data; EnvironmentError when the driver refuses.
class MOE_TUNE_API RowOperations {
 public:
  /// `device` is a CUDA ordinal; its primary context is used. Throws UsageError for one that does not exist, EnvironmentError
  /// without a GPU or NVRTC.
  RowOperations(Library& library, int device);
  ~RowOperations();
  RowOperations(RowOperations&&) noexcept;
  RowOperations& operator=(RowOperations&&) noexcept;

  void permute_rows(const PermuteRowsArgs& args, CUstream_st* stream);
  void unpermute_rows(const UnpermuteRowsArgs& args, CUstream_st* stream);
  void act_and_mul(const ActAndMulArgs& args, CUstream_st* stream);
  void combine_rows(const CombineRowsArgs& args, CUstream_st* stream);
  void swiglu_gradient(const SwigluGradientArgs& args, CUstream_st* stream);

  /// Compiles and loads the kernels.
  void prepare();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moe_tune
