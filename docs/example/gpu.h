/* Device memory for the examples. An application has this from the CUDA runtime or its framework; here the driver is opened at
 * run time, so that the examples build without a CUDA toolkit and say so where there is no GPU. C and C++. */
#ifndef EXAMPLE_GPU_H
#define EXAMPLE_GPU_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* The driver's functions by their exported names; CUresult and CUdevice are int, CUdeviceptr is 64 bits wide. */
typedef int (*gpu_init_function)(unsigned);
typedef int (*gpu_device_function)(int*, int);
typedef int (*gpu_retain_function)(void**, int);
typedef int (*gpu_make_current_function)(void*);
typedef int (*gpu_alloc_function)(unsigned long long*, size_t);
typedef int (*gpu_upload_function)(unsigned long long, const void*, size_t);
typedef int (*gpu_download_function)(void*, unsigned long long, size_t);
typedef int (*gpu_synchronize_function)(void);

static void* gpu_library;

static void* gpu_function(const char* name) {
  void* function = dlsym(gpu_library, name);
  if (function == NULL) {
    fprintf(stderr, "the driver has no %s\n", name);
    exit(1);
  }
  return function;
}

static void gpu_check(int result, const char* what) {
  if (result == 0) return;
  fprintf(stderr, "%s failed with CUDA error %d\n", what, result);
  exit(1);
}

/* Makes the primary context of GPU 0 current, the one that the library uses. 0 where there is no GPU. */
static int gpu_open(void) {
  int device = 0;
  void* context = NULL;
  gpu_library = dlopen("libcuda.so.1", RTLD_NOW);
  if (gpu_library == NULL) return 0;
  if (((gpu_init_function)gpu_function("cuInit"))(0) != 0) return 0;
  if (((gpu_device_function)gpu_function("cuDeviceGet"))(&device, 0) != 0) return 0;
  gpu_check(((gpu_retain_function)gpu_function("cuDevicePrimaryCtxRetain"))(&context, device), "cuDevicePrimaryCtxRetain");
  gpu_check(((gpu_make_current_function)gpu_function("cuCtxSetCurrent"))(context), "cuCtxSetCurrent");
  return 1;
}

static void* gpu_alloc(size_t bytes) {
  unsigned long long address = 0;
  gpu_check(((gpu_alloc_function)gpu_function("cuMemAlloc_v2"))(&address, bytes), "cuMemAlloc");
  return (void*)(size_t)address;
}

static void* gpu_upload(const void* source, size_t bytes) {
  void* target = gpu_alloc(bytes);
  gpu_check(((gpu_upload_function)gpu_function("cuMemcpyHtoD_v2"))((size_t)target, source, bytes), "cuMemcpyHtoD");
  return target;
}

/* Waits for the work on the default stream first. */
static void gpu_download(void* target, const void* source, size_t bytes) {
  gpu_check(((gpu_synchronize_function)gpu_function("cuCtxSynchronize"))(), "cuCtxSynchronize");
  gpu_check(((gpu_download_function)gpu_function("cuMemcpyDtoH_v2"))(target, (size_t)source, bytes), "cuMemcpyDtoH");
}

#endif
