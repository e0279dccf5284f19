"""The C API (runtime/include/moe_tune/moe_tune.h) on torch tensors, through ctypes."""

import ctypes
import os
import pathlib
import shutil
import tempfile

import torch


class DLDevice(ctypes.Structure):
    _fields_ = [("device_type", ctypes.c_int), ("device_id", ctypes.c_int)]


class DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", DLDevice),
        ("ndim", ctypes.c_int),
        ("dtype", DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class ForwardArgs(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("gemm", ctypes.c_int32),
        ("x", ctypes.POINTER(DLTensor)),
        ("w", ctypes.POINTER(DLTensor)),
        ("y", ctypes.POINTER(DLTensor)),
        ("m_sizes", ctypes.POINTER(DLTensor)),
        ("gather_indices", ctypes.POINTER(DLTensor)),
        ("topk_weights", ctypes.POINTER(DLTensor)),
        ("top_k", ctypes.c_int32),
        ("permute_x", ctypes.c_int32),
        ("permute_y", ctypes.c_int32),
        ("fuse_mul_post", ctypes.c_int32),
        ("max_sms", ctypes.c_int32),
        ("config", ctypes.c_void_p),
    ]


K_DL_CUDA = 2
K_DL_TYPES = {  # code, bits
    torch.int32: (0, 32),
    torch.int64: (0, 64),
    torch.float32: (2, 32),
    torch.float16: (2, 16),
    torch.bfloat16: (4, 16),
}
GEMMS = {"gate_up": 0, "down": 1}


def dl_tensor(tensor):
    """A DLTensor that borrows `tensor`; the returned object keeps its shape alive, the caller the tensor."""
    code, bits = K_DL_TYPES[tensor.dtype]
    dimensions = ctypes.c_int64 * tensor.dim()
    return DLTensor(
        data=tensor.data_ptr(),
        device=DLDevice(K_DL_CUDA, tensor.device.index),
        ndim=tensor.dim(),
        dtype=DLDataType(code, bits, 1),
        shape=dimensions(*tensor.shape),
        strides=dimensions(*tensor.stride()),
        byte_offset=0,
    )


class MoeTuneError(RuntimeError):
    """What the library reports, with its message."""


class Library:
    """libmoe_tune.so. It reads its environment (MOE_TUNE_MODE, MOE_TUNE_DB, ...) when it is first used."""

    def __init__(self, path):
        if not pathlib.Path(path).is_file():
            raise SystemExit(f"there is no library {path}: build the project (./check does), or name one with --library")
        self._library = ctypes.CDLL(str(path))
        self._library.moe_tune_last_error.restype = ctypes.c_char_p
        self._library.moe_tune_version.restype = ctypes.c_char_p
        self._library.moe_tune_grouped_gemm_forward.argtypes = [ctypes.POINTER(ForwardArgs), ctypes.c_void_p]
        self._library.moe_tune_prepare_forward.argtypes = [
            ctypes.POINTER(ForwardArgs),
            ctypes.POINTER(ctypes.c_int64),
            ctypes.c_size_t,
        ]
        self._library.moe_tune_explain_forward.argtypes = [
            ctypes.POINTER(ForwardArgs),
            ctypes.c_int64,
            ctypes.c_char_p,
            ctypes.c_size_t,
        ]
        self._library.moe_tune_device_status.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_uint32), ctypes.c_int]

    @classmethod
    def separate(cls, path, environment):
        """A second instance of the library in this process, which sees `environment` and nothing else of MOE_TUNE_*.

        The loader would hand out the first instance again for the same file, so this loads a copy.
        """
        if not pathlib.Path(path).is_file():
            raise SystemExit(f"there is no library {path}: build the project (./check does), or name one with --library")
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "libmoe_tune_copy.so"
            shutil.copyfile(path, copy)
            library = cls(copy)
        library._with_environment(environment)
        return library

    def _with_environment(self, environment):
        """Makes the library read its environment now: asking for a status opens it."""
        # The cache and the compiler stay where they are: they decide about time, not about results.
        selected = ("MOE_TUNE_MODE", "MOE_TUNE_DB", "MOE_TUNE_OVERRIDE")
        before = {name: os.environ.pop(name, None) for name in selected}
        os.environ.update(environment)
        try:
            self.status()
        finally:
            for name in selected:
                os.environ.pop(name, None)
                if before[name] is not None:
                    os.environ[name] = before[name]

    def version(self):
        return self._library.moe_tune_version().decode()

    def _check(self, result, call):
        if result != 0:
            message = self._library.moe_tune_last_error() or b"no message"
            raise MoeTuneError(f"{call} returned {result}: {message.decode()}")

    def status(self, device=0, clear=True):
        """The status bits of the device since they were last cleared."""
        bits = ctypes.c_uint32()
        self._check(self._library.moe_tune_device_status(device, ctypes.byref(bits), int(clear)), "moe_tune_device_status")
        return bits.value

    def call(self, layer, max_sms=0):
        """The call that computes `layer` (moe_layer.Layer)."""
        return ForwardCall(self, layer, max_sms)


class ForwardCall:
    """One call with its arguments made beforehand, so that run() is the C call alone."""

    def __init__(self, library, layer, max_sms=0):
        problem = layer.problem
        self._library = library
        self._layer = layer
        self._tokens = layer.tokens
        permuted = problem.permute_x or problem.permute_y
        tensors = {
            "x": layer.x,
            "w": layer.w,
            "y": layer.y,
            "m_sizes": layer.m_sizes,
            "gather_indices": layer.gather_indices if permuted else None,
            "topk_weights": layer.topk_weights if problem.fuse_mul_post else None,
        }
        # The DLTensors must outlive the call.
        self._tensors = {name: dl_tensor(tensor) for name, tensor in tensors.items() if tensor is not None}
        self._args = ForwardArgs(
            struct_size=ctypes.sizeof(ForwardArgs),
            gemm=GEMMS[problem.gemm],
            top_k=problem.top_k,
            permute_x=problem.permute_x,
            permute_y=problem.permute_y,
            fuse_mul_post=problem.fuse_mul_post,
            max_sms=max_sms,
            **{name: ctypes.pointer(tensor) for name, tensor in self._tensors.items()},
        )

    def run(self):
        stream = torch.cuda.current_stream().cuda_stream
        result = self._library._library.moe_tune_grouped_gemm_forward(ctypes.byref(self._args), stream)
        self._library._check(result, "moe_tune_grouped_gemm_forward")

    def prepare(self):
        """Compiles and loads the kernel of this token count."""
        tokens = ctypes.c_int64(self._tokens)
        result = self._library._library.moe_tune_prepare_forward(ctypes.byref(self._args), ctypes.byref(tokens), 1)
        self._library._check(result, "moe_tune_prepare_forward")

    def explain(self):
        """Which config serves the call, and why."""
        text = ctypes.create_string_buffer(1024)
        result = self._library._library.moe_tune_explain_forward(ctypes.byref(self._args), self._tokens, text, len(text))
        self._library._check(result, "moe_tune_explain_forward")
        return text.value.decode()
