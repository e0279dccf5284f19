/* The C API: one grouped GEMM on GPU 0, checked. Ends with 0 (right), 1 (wrong) or 77 (no GPU). */
#include <moe_tune/moe_tune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu.h"
#include "layer.h"

/* A contiguous tensor on GPU 0. `shape` outlives it. */
static DLTensor tensor(void* data, uint8_t code, uint8_t bits, int32_t dimensions, int64_t* shape) {
  DLTensor result;
  memset(&result, 0, sizeof result);
  result.data = data;
  result.device.device_type = kDLCUDA;
  result.ndim = dimensions;
  result.dtype.code = code;
  result.dtype.bits = bits;
  result.dtype.lanes = 1;
  result.shape = shape;
  return result;
}

int main(void) {
  if (!gpu_open()) {
    puts("no GPU here");
    return 77;
  }
  layer* data = malloc(sizeof *data);
  const size_t y_bytes = (size_t)ROWS * COLUMNS * sizeof(uint16_t);
  uint16_t* y_host = malloc(y_bytes);
  if (data == NULL || y_host == NULL) return 1;
  fill_layer(data);
  memset(y_host, 0xff, y_bytes); /* NaN: an element that is not written counts as wrong */

  int64_t x_shape[] = {TOKENS, REDUCTION}, w_shape[] = {EXPERTS, COLUMNS, REDUCTION}, y_shape[] = {ROWS, COLUMNS};
  int64_t m_sizes_shape[] = {EXPERTS}, gather_shape[] = {ROWS};
  const DLTensor x = tensor(gpu_upload(data->x, sizeof data->x), kDLBfloat, 16, 2, x_shape);
  const DLTensor w = tensor(gpu_upload(data->w, sizeof data->w), kDLBfloat, 16, 3, w_shape);
  const DLTensor y = tensor(gpu_upload(y_host, y_bytes), kDLBfloat, 16, 2, y_shape);
  const DLTensor m_sizes = tensor(gpu_upload(data->m_sizes, sizeof data->m_sizes), kDLInt, 32, 1, m_sizes_shape);
  const DLTensor gather = tensor(gpu_upload(data->gather_indices, sizeof data->gather_indices), kDLInt, 32, 1, gather_shape);

  moe_tune_forward_args args;
  memset(&args, 0, sizeof args);
  args.struct_size = sizeof args;
  args.gemm = MOE_TUNE_GATE_UP;
  args.x = &x;
  args.w = &w;
  args.y = &y;
  args.m_sizes = &m_sizes;
  args.gather_indices = &gather;
  args.top_k = TOP_K;
  args.permute_x = 1;
  char why[256];
  if (moe_tune_explain_forward(&args, TOKENS, why, sizeof why) != MOE_TUNE_OK ||
      moe_tune_grouped_gemm_forward(&args, /* the default stream */ NULL) != MOE_TUNE_OK) {
    fprintf(stderr, "%s\n", moe_tune_last_error());
    return 1;
  }
  gpu_download(y_host, y.data, y_bytes);

  const int wrong = count_wrong(data, y_host);
  printf("%s\n%d x %d elements, %d wrong\n", why, ROWS, COLUMNS, wrong);
  free(y_host);
  free(data);
  return wrong == 0 ? 0 : 1;
}
