/* Grouped GEMM on the GPU with the tuned kernel: the C API. Tensors are DLPack's DLTensor, so any framework's fit.
 *
 * Stable ABI: functions are never removed, structs only grow at the end, and the caller states their size. Every function
 * returns a moe_tune_result and is thread-safe; moe_tune_last_error() says what went wrong in this thread. */
#ifndef MOE_TUNE_H
#define MOE_TUNE_H

#include <dlpack/dlpack.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOE_TUNE_C_API __attribute__((visibility("default")))

typedef enum {
  MOE_TUNE_OK = 0,
  MOE_TUNE_INTERNAL_ERROR = 1,    /* a defect of the library: please report it */
  MOE_TUNE_USAGE_ERROR = 2,       /* bad arguments or a bad file */
  MOE_TUNE_ENVIRONMENT_ERROR = 3, /* no GPU, driver, NVRTC, file system */
} moe_tune_result;

typedef enum { MOE_TUNE_GATE_UP = 0, MOE_TUNE_DOWN = 1 } moe_tune_gemm;

/* Bits of moe_tune_device_status. */
#define MOE_TUNE_STATUS_BAD_GATHER_INDEX 1u
#define MOE_TUNE_STATUS_BAD_M_SIZES 2u
#define MOE_TUNE_STATUS_BAD_SELECTED_EXPERT 4u
#define MOE_TUNE_STATUS_BAD_TOKEN_COUNT 8u

typedef enum { MOE_TUNE_SM80 = 0, MOE_TUNE_SM90 = 1 } moe_tune_family;

/* A kernel config by hand; the fields are those of `moe-tune list-configs`. warps_m = 0 chooses the split of the warps. Fields
 * that struct_size leaves out count as 0. */
typedef struct {
  uint32_t struct_size; /* sizeof(moe_tune_config_forward), of gradients too */
  int32_t BLOCK_M, BLOCK_N, BLOCK_K;
  int32_t warps, warps_m, stages, ctas_per_sm;
  int32_t n_fastest; /* tile_order: 0 = m_fastest, 1 = n_fastest */
  int32_t family;    /* moe_tune_family; the fields below are those of sm90, 0 with sm80 */
  int32_t weights_m; /* mma_m: 0 = tokens, 1 = weights */
  int32_t ping_pong; /* schedule: 0 = cooperative, 1 = ping_pong */
  int32_t cluster;   /* 0 counts as 1 */
  int32_t queue;     /* tile_source: 0 = static_order, 1 = queue */
  int32_t gather;    /* 0 = dispatch, 1 = in_kernel, 2 = copy_ahead */
} moe_tune_config_forward;

/* Y[dst(r), :] = X[src(r), :] . W[e]^T for the rows r of every expert e; expert e owns m_sizes[e] consecutive sorted rows, and
 * gather_indices[r] is the slot (token * top_k + choice) at sorted row r. M = T * top_k. With fuse_swiglu y is silu(gate) * up of
 * the products, gate being the first half of their columns and up the second. Fields that struct_size leaves out count as 0. */
typedef struct {
  uint32_t struct_size;           /* sizeof(moe_tune_forward_args) */
  int32_t gemm;                   /* moe_tune_gemm: which tuned entry to use */
  const DLTensor* x;              /* (T, K) with permute_x, else (M, K); bfloat16 or float16; CUDA; last stride 1 */
  const DLTensor* w;              /* (E, N, K), same dtype */
  const DLTensor* y;              /* (M, N), with fuse_swiglu (M, N / 2); same dtype; written */
  const DLTensor* m_sizes;        /* (E), int32 or int64 */
  const DLTensor* gather_indices; /* (M), int32 or int64; NULL without a permutation */
  const DLTensor* topk_weights;   /* (M) or (T, top_k), float32 or x's dtype; NULL without fuse_mul_post and fuse_mul_pre */
  int32_t top_k;
  int32_t permute_x;                     /* row r reads X[gather_indices[r] / top_k] */
  int32_t permute_y;                     /* row r is stored at Y[gather_indices[r]] */
  int32_t fuse_mul_post;                 /* the stored row is scaled by topk_weights[slot] */
  int32_t max_sms;                       /* use at most this many SMs, one block on each, but never less than a cluster; 0: all */
  const moe_tune_config_forward* config; /* NULL: the library chooses */
  const DLTensor* pre_activation;        /* (M, N), same dtype; written, with the products; NULL: not kept. Needs fuse_swiglu */
  const DLTensor* workspace;             /* 1-D, any dtype, moe_tune_workspace_bytes_forward() bytes; NULL: the library's own */
  int32_t fuse_mul_pre; /* the products of a row are scaled by topk_weights[slot], before SwiGLU; needs permute_x */
  int32_t fuse_swiglu;
} moe_tune_forward_args;

/* Enqueues the product on `stream` (a cudaStream_t or CUstream; NULL: the default stream) of x's device. Does not synchronise;
 * can be captured into a CUDA graph once its kernel is prepared. All tensors lie on one device and outlive the work. */
MOE_TUNE_C_API int moe_tune_grouped_gemm_forward(const moe_tune_forward_args* args, void* stream);

/* Compiles and loads the kernels that `args` would use for these token counts. Only shapes, strides, dtypes and flags of args are
 * read. */
MOE_TUNE_C_API int moe_tune_prepare_forward(const moe_tune_forward_args* args, const int64_t* tokens, size_t count);

/* Bytes of workspace that `args` needs at `tokens`; 0: none. A call without workspace takes it from a memory pool of the library,
 * which keeps it; captured, the call then has an allocation as a node of the graph. */
MOE_TUNE_C_API int moe_tune_workspace_bytes_forward(const moe_tune_forward_args* args, int64_t tokens, size_t* bytes);

/* Writes which config serves `args` at `tokens`, and why, as one line; cut to `size` bytes, always terminated. */
MOE_TUNE_C_API int moe_tune_explain_forward(const moe_tune_forward_args* args, int64_t tokens, char* text, size_t size);

/* Gradients of the forward product with the same permutations, given dy, the gradient of its y:
 *   dX  dx[src(r), :] = dy[dst(r), :] . w[e], src(r) being a slot with permute_x: the rows of a token are yet to be summed
 *   dW  dw[e] = the sum over the rows r of expert e of dy[dst(r), :]^T . x[src(r), :], zeros for an expert without rows
 * Fields that struct_size leaves out count as 0. */
typedef struct {
  uint32_t struct_size;           /* sizeof(moe_tune_backward_args) */
  int32_t gemm;                   /* moe_tune_gemm: which tuned entry to use */
  const DLTensor* dy;             /* (M, N); bfloat16 or float16; CUDA; last stride 1 */
  const DLTensor* x;              /* dW: (T, K) with permute_x, else (M, K), same dtype; dX: NULL */
  const DLTensor* w;              /* dX: (E, N, K), same dtype; dW: NULL */
  const DLTensor* dx;             /* dX: (M, K), same dtype; written; dW: NULL */
  const DLTensor* dw;             /* dW: (E, N, K), same dtype or float32; written; dX: NULL */
  const DLTensor* m_sizes;        /* (E), int32 or int64 */
  const DLTensor* gather_indices; /* (M), int32 or int64; NULL without a permutation */
  int32_t top_k;
  int32_t permute_x;
  int32_t permute_y;
  int32_t max_sms;                       /* as in moe_tune_forward_args */
  const moe_tune_config_forward* config; /* NULL: the library chooses */
  const DLTensor* workspace;             /* 1-D, any dtype; NULL: the library's own */
  int32_t accumulate;                    /* dW: dw[e] += the sum, in float32 and rounded once; not touched without rows; dX: 0.
                                          * Of a float32 dw subnormal values may count as zeros. */
} moe_tune_backward_args;

/* As their namesakes of forward. */
MOE_TUNE_C_API int moe_tune_grouped_gemm_backward_dX(const moe_tune_backward_args* args, void* stream);
MOE_TUNE_C_API int moe_tune_grouped_gemm_backward_dW(const moe_tune_backward_args* args, void* stream);
MOE_TUNE_C_API int moe_tune_prepare_backward_dX(const moe_tune_backward_args* args, const int64_t* tokens, size_t count);
MOE_TUNE_C_API int moe_tune_prepare_backward_dW(const moe_tune_backward_args* args, const int64_t* tokens, size_t count);
MOE_TUNE_C_API int moe_tune_workspace_bytes_backward_dX(const moe_tune_backward_args* args, int64_t tokens, size_t* bytes);
MOE_TUNE_C_API int moe_tune_workspace_bytes_backward_dW(const moe_tune_backward_args* args, int64_t tokens, size_t* bytes);
MOE_TUNE_C_API int moe_tune_explain_backward_dX(const moe_tune_backward_args* args, int64_t tokens, char* text, size_t size);
MOE_TUNE_C_API int moe_tune_explain_backward_dW(const moe_tune_backward_args* args, int64_t tokens, char* text, size_t size);

/* What moves or transforms rows around the grouped GEMMs. Each call enqueues one kernel on `stream` of its tensors' device,
 * without synchronising; it can be captured into a CUDA graph once moe_tune_prepare_row_operations() has been called for the
 * device. Tensors of rows are bfloat16 or float16, all of one dtype, with a number of columns and row strides that are multiples
 * of 8, 16-byte aligned. Arithmetic is float32 and rounds once; reruns give the same bits. A slot is token * top_k + choice, M =
 * T * top_k. */

/* rows[r, :] = x[gather_indices[r] / slots_per_row, :] for r < sum(m_sizes): rows in expert order, made once for several GEMMs.
 * With topk_weights each is scaled by its slot's. Zeros for an index outside [0, M), which is reported as
 * MOE_TUNE_STATUS_BAD_GATHER_INDEX; rows past the sum are not touched.
 * With slot_rows, and without gather_indices and m_sizes, by source row: rows[slot_rows[s], :] = x[s / slots_per_row, :] where
 * slot_rows[s] is not negative. Each row of x is read once, and not at all where none of its slots has a row. slot_rows past the
 * last row are left out and reported as the others are; rows that no slot has are not touched. */
typedef struct {
  uint32_t struct_size;           /* sizeof(moe_tune_permute_rows_args) */
  int32_t slots_per_row;          /* top_k: x is in token order; 1: in slot order; at most 32 with slot_rows */
  const DLTensor* x;              /* (M / slots_per_row, C) */
  const DLTensor* rows;           /* (M, C); written */
  const DLTensor* gather_indices; /* (M), int32 or int64 */
  const DLTensor* m_sizes;        /* (E), int32 or int64; NULL: all M rows */
  const DLTensor* topk_weights;   /* (M) or (T, top_k), contiguous, float32 or x's dtype: rows are scaled; NULL: copied */
  const DLTensor* slot_rows;      /* (M) or (T, top_k), contiguous, int32: the sorted row of each slot, distinct, as moe_tune_router
                                   * writes it; negative: it has none; NULL: by gather_indices */
} moe_tune_permute_rows_args;

/* The way back: out[gather_indices[r], :] = rows[r, :] for r < sum(m_sizes). A row with an index outside [0, M) is not stored, and is
 * reported; rows of out that no r has are not touched. */
typedef struct {
  uint32_t struct_size;           /* sizeof(moe_tune_unpermute_rows_args) */
  int32_t reserved;               /* 0 */
  const DLTensor* rows;           /* (M, C) */
  const DLTensor* out;            /* (M, C); written */
  const DLTensor* gather_indices; /* (M), int32 or int64 */
  const DLTensor* m_sizes;        /* (E), int32 or int64; NULL: all M rows */
} moe_tune_unpermute_rows_args;

/* SwiGLU: out[r, :] = silu(x[r, :C]) * x[r, C:] for r < sum(m_sizes). */
typedef struct {
  uint32_t struct_size;    /* sizeof(moe_tune_act_and_mul_args) */
  int32_t reserved;        /* 0 */
  const DLTensor* x;       /* (M, 2 C): gate, up */
  const DLTensor* out;     /* (M, C); written */
  const DLTensor* m_sizes; /* (E), int32 or int64; NULL: all M rows */
} moe_tune_act_and_mul_args;

/* out[t, :] = addend[t, :] + the sum over c = 0, 1, ..., top_k - 1, in this order, of topk_weights[s] * row(s), s = t * top_k + c:
 * the combine of a block's forward, or the sum over the rows of a token of dX. row(s) is rows[s, :], or with expert_order
 * rows[slot_rows[s], :]; it is left out, and not read, where slot_rows[s] is negative. Without slot_rows every row is read: one that
 * no expert has must hold zeros. In expert order slot_rows past the last row are left out and reported as
 * MOE_TUNE_STATUS_BAD_GATHER_INDEX. */
typedef struct {
  uint32_t struct_size; /* sizeof(moe_tune_combine_rows_args) */
  int32_t top_k;
  const DLTensor* rows;         /* (M, C) in slot order, or in expert order */
  const DLTensor* out;          /* (T, C); written */
  const DLTensor* topk_weights; /* (M) or (T, top_k), contiguous, float32 or rows' dtype; NULL: a plain sum */
  const DLTensor* addend;       /* (T, C): what the sum begins with; may be out; NULL: nothing */
  const DLTensor* slot_rows;    /* (M) or (T, top_k), int32: the sorted row of each slot, as moe_tune_router writes it; negative: it has
                                 * none and is left out; NULL: every slot has a row */
  const DLTensor* token_count;  /* (1), int32, on the device: at most so many tokens; NULL: all */
  int32_t expert_order;         /* rows are in expert order: row slot_rows[s] is slot s's */
  int32_t reserved;             /* 0 */
} moe_tune_combine_rows_args;

/* From the gradient g of the second GEMM's input back through a = silu(gate) * up and the weighted combine. For the rows
 * r < sum(m_sizes), s = gather_indices[r] (r without), w = topk_weights[s] (1 without):
 *   d_pre_activation[r, :I] = w * g * up * silu'(gate)
 *   d_pre_activation[r, I:] = w * g * silu(gate)
 *   activation[r, :]        = w * a                           the input of dW of the second GEMM when its dY is not scaled
 *   d_topk_weights[s]       = the sum over the columns of g * a
 * g being the dX of the second GEMM whose dY is not scaled by w. A row whose slot is outside [0, M) is zeros, and is reported;
 * rows past the sum and d_topk_weights of slots without a row are not touched. d_pre_activation may be pre_activation, and
 * activation d_activation, with the same row stride.
 * With scaled_input the rows had been scaled before the first GEMM, so pre_activation has w in it: w = 1 above, and
 * d_topk_weights[s] is the sum over both halves of d_pre_activation * pre_activation, which is w times the gradient of w. */
typedef struct {
  uint32_t struct_size;             /* sizeof(moe_tune_swiglu_gradient_args) */
  int32_t top_k;                    /* 0 counts as 1 */
  const DLTensor* d_activation;     /* (M, I): g */
  const DLTensor* pre_activation;   /* (M, 2 I): gate, up */
  const DLTensor* d_pre_activation; /* (M, 2 I); written */
  const DLTensor* activation;       /* (M, I); written; NULL: not wanted */
  const DLTensor* topk_weights;     /* (M) or (T, top_k), contiguous, float32 or d_activation's dtype; NULL: 1 */
  const DLTensor* d_topk_weights;   /* the same; written; NULL: not wanted */
  const DLTensor* gather_indices;   /* (M), int32 or int64; NULL: rows are in slot order */
  const DLTensor* m_sizes;          /* (E), int32 or int64; NULL: all M rows */
  int32_t scaled_input;             /* pre_activation comes from scaled rows; topk_weights is NULL */
  int32_t reserved;                 /* 0 */
} moe_tune_swiglu_gradient_args;

MOE_TUNE_C_API int moe_tune_permute_rows(const moe_tune_permute_rows_args* args, void* stream);
MOE_TUNE_C_API int moe_tune_unpermute_rows(const moe_tune_unpermute_rows_args* args, void* stream);
MOE_TUNE_C_API int moe_tune_act_and_mul(const moe_tune_act_and_mul_args* args, void* stream);
MOE_TUNE_C_API int moe_tune_combine_rows(const moe_tune_combine_rows_args* args, void* stream);
MOE_TUNE_C_API int moe_tune_swiglu_gradient(const moe_tune_swiglu_gradient_args* args, void* stream);
/* Compiles and loads their kernels. */
MOE_TUNE_C_API int moe_tune_prepare_row_operations(int device);

/* The router of an MoE block (moe_tune/router.hpp has the formulas): which experts see a token, with what weights, and in which order
 * their rows stand. Tensors are contiguous. L is the number of experts that get rows. */
typedef enum {
  MOE_TUNE_SOFTMAX = 0,           /* softmax over all experts, then top_k */
  MOE_TUNE_SOFTMAX_NORM_TOPK = 1, /* the same, the chosen weights divided by their sum */
  MOE_TUNE_SIGMOID = 2,           /* top_k of the logits, each through a sigmoid */
} moe_tune_router_kind;

typedef struct {
  uint32_t struct_size;             /* sizeof(moe_tune_router_args) */
  int32_t kind;                     /* moe_tune_router_kind */
  int32_t first_expert;             /* the experts [first_expert, first_expert + L) get rows */
  int32_t inject;                   /* selected_experts is read: distinct within a token */
  const DLTensor* hidden_states;    /* (T, H), bfloat16 or float16 */
  const DLTensor* weight;           /* (E, H), same dtype */
  const DLTensor* router_logits;    /* (T, E), same dtype; written */
  const DLTensor* selected_experts; /* (T, top_k), int32; written, or read */
  const DLTensor* topk_weights;     /* (T, top_k), same dtype; written */
  const DLTensor* m_sizes;          /* (L), int32; written */
  const DLTensor* gather_indices;   /* (T * top_k), int32; written */
  const DLTensor* slot_rows;        /* (T, top_k) or (T * top_k), int32; written */
  const DLTensor* token_count;      /* (1), int32, on the device: how many of the tokens are there; NULL: all */
  const DLTensor* workspace;        /* 1-D, any dtype, moe_tune_router_workspace_bytes() bytes; NULL where that is 0 */
} moe_tune_router_args;

/* Enqueues two or three kernels on `stream`, without synchronising; can be captured once moe_tune_prepare_router() was called. */
MOE_TUNE_C_API int moe_tune_router(const moe_tune_router_args* args, void* stream);
/* Of both, only shapes, dtypes and numbers of args are read. */
MOE_TUNE_C_API int moe_tune_router_workspace_bytes(const moe_tune_router_args* args, size_t* bytes);
MOE_TUNE_C_API int moe_tune_prepare_router(const moe_tune_router_args* args);

/* The gradient of the router (moe_tune/router_gradient.hpp has the formulas). Tensors are contiguous. */
typedef struct {
  uint32_t struct_size;             /* sizeof(moe_tune_router_gradient_args) */
  int32_t kind;                     /* moe_tune_router_kind */
  int32_t first_expert;             /* d_topk_weights is read for the experts [first_expert, first_expert + local_experts) */
  int32_t local_experts;            /* 0: all from first_expert on */
  int32_t accumulate;               /* d_weight is added to what stands there */
  int32_t reserved;                 /* 0 */
  const DLTensor* hidden_states;    /* (T, H), bfloat16 or float16 */
  const DLTensor* weight;           /* (E, H), same dtype */
  const DLTensor* router_logits;    /* (T, E), same dtype, as moe_tune_router writes them */
  const DLTensor* selected_experts; /* (T, top_k), int32, distinct within a token */
  const DLTensor* d_topk_weights;   /* (T, top_k), float32; with MOE_TUNE_SIGMOID times the weight */
  const DLTensor* d_router_logits;  /* (T, E), same dtype: from elsewhere, e.g. an auxiliary loss; NULL: nothing */
  const DLTensor* d_hidden_states;  /* (T, H), same dtype; written; NULL: not wanted */
  const DLTensor* d_weight;         /* (E, H), same dtype or float32; written; NULL: not wanted */
  const DLTensor* token_count;      /* (1), int32, on the device: how many of the tokens are there; NULL: all */
  const DLTensor* workspace;        /* 1-D, any dtype, moe_tune_router_gradient_workspace_bytes() bytes */
} moe_tune_router_gradient_args;

/* Enqueues up to four kernels on `stream`, without synchronising; can be captured once moe_tune_prepare_router_gradient() was
 * called. */
MOE_TUNE_C_API int moe_tune_router_gradient(const moe_tune_router_gradient_args* args, void* stream);
/* Of both, only shapes, dtypes and numbers of args are read. */
MOE_TUNE_C_API int moe_tune_router_gradient_workspace_bytes(const moe_tune_router_gradient_args* args, size_t* bytes);
MOE_TUNE_C_API int moe_tune_prepare_router_gradient(const moe_tune_router_gradient_args* args);

/* The MoE blocks of Qwen3 and Llama4, fused: router, grouped GEMMs and combine (moe_block.hpp has the formulas). A block is made for
 * one device and may be used by any threads, on any streams. T tokens, H hidden size, I intermediate size of an expert, E experts of
 * the model, L experts of this process, S intermediate size of the shared expert. */
typedef struct moe_tune_block moe_tune_block;

typedef enum { MOE_TUNE_QWEN3 = 0, MOE_TUNE_LLAMA4 = 1 } moe_tune_model;
typedef enum { MOE_TUNE_DEFAULT = 0, MOE_TUNE_ON = 1, MOE_TUNE_OFF = 2 } moe_tune_switch;

/* How a block works. Fields that struct_size leaves out count as 0, so a struct of zeros but for struct_size has all defaults. */
typedef struct {
  uint32_t struct_size;          /* sizeof(moe_tune_block_options) */
  int32_t permute_x;             /* moe_tune_switch: the first GEMM gathers its rows itself; default: on for Qwen3, off for Llama4 */
  int32_t permute_y;             /* moe_tune_switch: the second GEMM stores rows in slot order; default: on */
  int32_t autotune;              /* moe_tune_switch: the library chooses kernels; off: the forward configs are required; default: on */
  int32_t dW_only;               /* only gradients of weights are wanted */
  int32_t dX_only;               /* only the gradient of the hidden states is wanted */
  int32_t overlap_router_shared; /* Llama4: the shared expert runs on a stream of its own */
  int32_t no_shared_expert;      /* Llama4: another process computes the shared expert */
  int32_t first_expert;          /* of those that this process has */
  int32_t expert_count;          /* 0: all from first_expert on; must be L where there are weights */
  const moe_tune_config_forward* config_fwd_gate_up; /* NULL: the library chooses */
  const moe_tune_config_forward* config_fwd_down;
  const moe_tune_config_forward* config_bwd_dX_gate_up;
  const moe_tune_config_forward* config_bwd_dX_down;
  const moe_tune_config_forward* config_bwd_dW_gate_up;
  const moe_tune_config_forward* config_bwd_dW_down;
  int32_t float32_dW; /* gradients of weights are float32 */
  int32_t reserved;   /* 0 */
} moe_tune_block_options;

/* A block on weights of the caller, which outlive it: contiguous, bfloat16 or float16, all of one dtype, on one device. */
typedef struct {
  uint32_t struct_size;                  /* sizeof(moe_tune_block_args) */
  int32_t model;                         /* moe_tune_model */
  int32_t top_k;
  int32_t norm_topk_prob;                /* Qwen3: routing weights are divided by their sum */
  const DLTensor* gate;                  /* (E, H): the router's */
  const DLTensor* gate_up_proj;          /* (L, 2 I, H): of each expert I rows for gate, then I rows for up */
  const DLTensor* down_proj;             /* (L, H, I) */
  const DLTensor* shared_gate_up_proj;   /* (2 S, H); Llama4, NULL where no_shared_expert is set */
  const DLTensor* shared_down_proj;      /* (H, S) */
  const moe_tune_block_options* options; /* NULL: defaults */
} moe_tune_block_args;

MOE_TUNE_C_API int moe_tune_block_create(const moe_tune_block_args* args, moe_tune_block** block);

/* A layer of a Hugging Face checkpoint folder (config.json, safetensors), whose weights the block owns. */
MOE_TUNE_C_API int moe_tune_block_from_hf(const char* checkpoint, int32_t layer, int32_t device,
                                          const moe_tune_block_options* options, moe_tune_block** block);

/* NULL is allowed. No work of the block may be running. */
MOE_TUNE_C_API int moe_tune_block_destroy(moe_tune_block* block);

/* Tensors are contiguous and of the block's dtype unless said. Fields that struct_size leaves out count as 0. */
typedef struct {
  uint32_t struct_size;             /* sizeof(moe_tune_block_forward_args) */
  int32_t inject_selection;         /* selected_experts is read: distinct within a token */
  const DLTensor* hidden_states;    /* (T, H) */
  const DLTensor* out;              /* (T, H); written */
  const DLTensor* router_logits;    /* (T, E); written; NULL: not wanted */
  const DLTensor* selected_experts; /* (T, top_k), int32; written or read; NULL: not wanted */
  const DLTensor* topk_weights;     /* (T, top_k); written; NULL: not wanted */
  const DLTensor* token_count;      /* (1), int32, on the device, at most T: how many of the tokens are there; NULL: all */
  const DLTensor* workspace;        /* 1-D, any dtype, moe_tune_block_workspace_bytes() bytes; NULL: the library's own */
  /* Called on the host before each step is enqueued, with its name: router, permute, gate_up, down, shared_expert, combine, and end
   * after the last. NULL: not wanted. */
  void (*on_step)(const char* step, void* user);
  void* user;
  const DLTensor* saved; /* 1-D, any dtype, moe_tune_block_saved_bytes() bytes; written: what the backward reads; the workspace has
                          * moe_tune_block_training_workspace_bytes() bytes then; NULL: nothing is kept */
} moe_tune_block_forward_args;

/* Enqueues the forward on `stream` of the block's device. Does not synchronise; can be captured into a CUDA graph once the block is
 * prepared for as many tokens, and replayed with other data, selections and token counts. */
MOE_TUNE_C_API int moe_tune_block_forward(moe_tune_block* block, const moe_tune_block_forward_args* args, void* stream);
MOE_TUNE_C_API int moe_tune_block_workspace_bytes(moe_tune_block* block, int64_t tokens, size_t* bytes);

/* Tensors are contiguous and of the block's dtype unless said. Gradients of weights are float32 with float32_dW. NULL: a gradient is
 * not wanted, and not made. */
typedef struct {
  uint32_t struct_size;                  /* sizeof(moe_tune_block_backward_args) */
  int32_t accumulate;                    /* gradients of weights are added to what stands there */
  const DLTensor* hidden_states;         /* (T, H): those of the forward */
  const DLTensor* d_out;                 /* (T, H) */
  const DLTensor* d_router_logits;       /* (T, E): what else the logits are used for, an auxiliary loss; NULL: nothing */
  const DLTensor* d_hidden_states;       /* (T, H); written; NULL with dW_only */
  const DLTensor* d_gate;                /* (E, H); written, as those below; NULL with dX_only */
  const DLTensor* d_gate_up_proj;        /* (L, 2 I, H) */
  const DLTensor* d_down_proj;           /* (L, H, I) */
  const DLTensor* d_shared_gate_up_proj; /* (2 S, H) */
  const DLTensor* d_shared_down_proj;    /* (H, S) */
  const DLTensor* saved;                 /* what the forward wrote; used up: each forward has one backward */
  const DLTensor* workspace;             /* 1-D, any dtype, moe_tune_block_training_workspace_bytes() bytes; NULL: the library's own */
  /* As of the forward: permute_d_out, dX_down, swiglu, dW_down, permute_x, dW_gate_up, dX_gate_up, router, combine, shared_expert,
   * end. */
  void (*on_step)(const char* step, void* user);
  void* user;
} moe_tune_block_backward_args;

/* Enqueues the backward of a forward that wrote `saved`, as moe_tune_block_forward() does; reruns give the same bits. */
MOE_TUNE_C_API int moe_tune_block_backward(moe_tune_block* block, const moe_tune_block_backward_args* args, void* stream);
/* What a forward keeps for its backward. */
MOE_TUNE_C_API int moe_tune_block_saved_bytes(moe_tune_block* block, int64_t tokens, size_t* bytes);
/* Of a forward that keeps, and of the backward. */
MOE_TUNE_C_API int moe_tune_block_training_workspace_bytes(moe_tune_block* block, int64_t tokens, size_t* bytes);
/* Compiles and loads what both need; `accumulate` as in the arguments of the backward. */
MOE_TUNE_C_API int moe_tune_block_prepare_training(moe_tune_block* block, const int64_t* tokens, size_t count, int32_t accumulate);
/* Compiles and loads what these token counts need. */
MOE_TUNE_C_API int moe_tune_block_prepare(moe_tune_block* block, const int64_t* tokens, size_t count);
/* Which config serves a GEMM of the block (moe_tune_gemm), and why, as one line; cut to `size` bytes, always terminated. */
MOE_TUNE_C_API int moe_tune_block_explain(moe_tune_block* block, int32_t gemm, int64_t tokens, char* text, size_t size);

/* Bad device data that kernels met on a device (MOE_TUNE_STATUS_*), without waiting; `clear` non-zero resets it. */
MOE_TUNE_C_API int moe_tune_device_status(int device, uint32_t* bits, int clear);

/* What went wrong in this thread's last failing call; valid until its next one. */
MOE_TUNE_C_API const char* moe_tune_last_error(void);

/* e.g. "0.1.0" */
MOE_TUNE_C_API const char* moe_tune_version(void);

#ifdef __cplusplus
}
#endif

#endif
