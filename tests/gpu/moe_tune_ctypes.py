"""The C API (runtime/include/moe_tune/moe_tune.h) on torch tensors, through ctypes."""

import ctypes
import os
import pathlib
import re
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


class ForwardConfig(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32)] + [
        (name, ctypes.c_int32)
        for name in (
            *("BLOCK_M", "BLOCK_N", "BLOCK_K", "warps", "warps_m", "stages", "ctas_per_sm", "n_fastest"),
            *("family", "weights_m", "ping_pong", "cluster", "queue", "gather"),
        )
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
        ("config", ctypes.POINTER(ForwardConfig)),
        ("pre_activation", ctypes.POINTER(DLTensor)),
        ("workspace", ctypes.POINTER(DLTensor)),
        ("fuse_mul_pre", ctypes.c_int32),
        ("fuse_swiglu", ctypes.c_int32),
    ]


class BackwardArgs(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("gemm", ctypes.c_int32),
        ("dy", ctypes.POINTER(DLTensor)),
        ("x", ctypes.POINTER(DLTensor)),
        ("w", ctypes.POINTER(DLTensor)),
        ("dx", ctypes.POINTER(DLTensor)),
        ("dw", ctypes.POINTER(DLTensor)),
        ("m_sizes", ctypes.POINTER(DLTensor)),
        ("gather_indices", ctypes.POINTER(DLTensor)),
        ("top_k", ctypes.c_int32),
        ("permute_x", ctypes.c_int32),
        ("permute_y", ctypes.c_int32),
        ("max_sms", ctypes.c_int32),
        ("config", ctypes.POINTER(ForwardConfig)),
        ("workspace", ctypes.POINTER(DLTensor)),
        ("accumulate", ctypes.c_int32),
    ]


def operation_args(numbers, tensors, more_numbers=()):
    """The arguments of an operation: numbers, tensors, and what was added behind them."""
    fields = [("struct_size", ctypes.c_uint32)]
    fields += [(name, ctypes.c_int32) for name in numbers]
    fields += [(name, ctypes.POINTER(DLTensor)) for name in tensors]
    fields += [(name, ctypes.c_int32) for name in more_numbers]
    return type("OperationArgs", (ctypes.Structure,), {"_fields_": fields})


ROW_OPERATIONS = {
    "permute_rows": operation_args(("slots_per_row",), ("x", "rows", "gather_indices", "m_sizes", "topk_weights")),
    "unpermute_rows": operation_args(("reserved",), ("rows", "out", "gather_indices", "m_sizes")),
    "act_and_mul": operation_args(("reserved",), ("x", "out", "m_sizes")),
    "combine_rows": operation_args(
        ("top_k",), ("rows", "out", "topk_weights", "addend", "slot_rows", "token_count"), ("expert_order", "reserved")
    ),
    "swiglu_gradient": operation_args(
        ("top_k",),
        (
            *("d_activation", "pre_activation", "d_pre_activation", "activation", "topk_weights", "d_topk_weights"),
            *("gather_indices", "m_sizes"),
        ),
    ),
}

RouterArgs = operation_args(
    ("kind", "first_expert", "inject"),
    (
        *("hidden_states", "weight", "router_logits", "selected_experts", "topk_weights", "m_sizes", "gather_indices"),
        *("slot_rows", "token_count", "workspace"),
    ),
)
ROUTER_KINDS = {"softmax": 0, "softmax_norm_topk": 1, "sigmoid": 2}

# By operation: what its functions' names end in, and their arguments.
OPERATIONS = {"forward": ("forward", ForwardArgs), "dX": ("backward_dX", BackwardArgs), "dW": ("backward_dW", BackwardArgs)}

K_DL_CUDA = 2
K_DL_TYPES = {  # code, bits
    torch.uint8: (1, 8),
    torch.int32: (0, 32),
    torch.int64: (0, 64),
    torch.float32: (2, 32),
    torch.float16: (2, 16),
    torch.bfloat16: (4, 16),
}
GEMMS = {"gate_up": 0, "down": 1}
MOE_TUNE_USAGE_ERROR = 2


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


# The names of configs that `moe-tune list-configs` prints, by family in the order of moe_tune_family. A group with words is an
# enum of the C API's struct, whose value is the word's index.
TILE = r"_(?P<BLOCK_M>\d+)x(?P<BLOCK_N>\d+)x(?P<BLOCK_K>\d+)"
ENUMS = {
    "n_fastest": ("mfast", "nfast"),
    "weights_m": ("tokens", "weights"),
    "ping_pong": ("coop", "pingpong"),
    "queue": ("static", "queue"),
    "gather": ("dispatch", "inkernel", "copyahead"),
}
WORD = {field: f"_(?P<{field}>{'|'.join(words)})" for field, words in ENUMS.items()}
CONFIG_NAMES = (
    rf"sm80{TILE}_w(?P<warps>\d+)m(?P<warps_m>\d+)_s(?P<stages>\d+)_c(?P<ctas_per_sm>\d+){WORD['n_fastest']}",
    rf"sm90{TILE}{WORD['weights_m']}{WORD['ping_pong']}_w(?P<warps>\d+)_s(?P<stages>\d+)_c(?P<ctas_per_sm>\d+)"
    rf"_x(?P<cluster>\d+){WORD['queue']}{WORD['n_fastest']}{WORD['gather']}",
)


def parse_config(name):
    """The ForwardConfig of a name; whether it fits a problem is the library's to say."""
    for family, pattern in enumerate(CONFIG_NAMES):
        if match := re.fullmatch(pattern, name):
            parts = match.groupdict().items()
            values = {field: ENUMS[field].index(text) if field in ENUMS else int(text) for field, text in parts}
            return ForwardConfig(struct_size=ctypes.sizeof(ForwardConfig), family=family, **values)
    raise SystemExit(f"{name} is not a config's name: `moe-tune list-configs` prints them")


class MoeTuneError(RuntimeError):
    """What the library reports, with its message."""

    def __init__(self, result, message):
        super().__init__(message)
        self.is_usage = result == MOE_TUNE_USAGE_ERROR


def existing(path):
    """The path of the library, which is there."""
    if not pathlib.Path(path).is_file():
        raise SystemExit(f"there is no library {path}: build the project (./check does), or name one with --library")
    return path


class Library:
    """libmoe_tune.so. It reads its environment (MOE_TUNE_MODE, MOE_TUNE_DB, ...) when it is first used."""

    def __init__(self, path):
        self._library = ctypes.CDLL(str(existing(path)))
        self._library.moe_tune_last_error.restype = ctypes.c_char_p
        self._library.moe_tune_version.restype = ctypes.c_char_p
        for suffix, args in OPERATIONS.values():
            pointer = ctypes.POINTER(args)
            self.function("grouped_gemm", suffix).argtypes = [pointer, ctypes.c_void_p]
            self.function("prepare", suffix).argtypes = [pointer, ctypes.POINTER(ctypes.c_int64), ctypes.c_size_t]
            self.function("explain", suffix).argtypes = [pointer, ctypes.c_int64, ctypes.c_char_p, ctypes.c_size_t]
            self.function("workspace_bytes", suffix).argtypes = [pointer, ctypes.c_int64, ctypes.POINTER(ctypes.c_size_t)]
        for name, args in ROW_OPERATIONS.items():
            getattr(self._library, f"moe_tune_{name}").argtypes = [ctypes.POINTER(args), ctypes.c_void_p]
        self._library.moe_tune_device_status.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_uint32), ctypes.c_int]

    def checked(self, name, *argtypes):
        """moe_tune_NAME, which raises what it reports."""
        function = getattr(self._library, f"moe_tune_{name}")
        function.argtypes = argtypes
        return lambda *arguments: self._check(function(*arguments), f"moe_tune_{name}")

    def function(self, name, suffix):
        return getattr(self._library, f"moe_tune_{name}_{suffix}")

    @classmethod
    def separate(cls, path, environment):
        """A second instance of the library in this process, which sees `environment` and nothing else of MOE_TUNE_*.

        The loader would hand out the first instance again for the same file, so this loads a copy.
        """
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "libmoe_tune_copy.so"
            shutil.copyfile(existing(path), copy)
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
            raise MoeTuneError(result, f"{call} returned {result}: {message.decode()}")

    def status(self, device=0, clear=True):
        """The status bits of the device since they were last cleared."""
        bits = ctypes.c_uint32()
        self._check(self._library.moe_tune_device_status(device, ctypes.byref(bits), int(clear)), "moe_tune_device_status")
        return bits.value

    def row_operation(self, name, count, **arguments):
        """Enqueues one of ROW_OPERATIONS on the current stream. `count` is its first number; tensors left out are NULL."""
        self._enqueue(name, ROW_OPERATIONS[name], (count,), arguments)

    def router(self, kind, first_expert=0, inject=0, **tensors):
        """Enqueues a router of one of ROUTER_KINDS on the current stream, with a workspace of its own."""
        numbers = (ROUTER_KINDS[kind], first_expert, inject)
        args = self._arguments(RouterArgs, numbers, tensors)
        needed = ctypes.c_size_t()
        result = self._library.moe_tune_router_workspace_bytes(ctypes.byref(args), ctypes.byref(needed))
        self._check(result, "moe_tune_router_workspace_bytes")
        if needed.value > 0:
            tensors["workspace"] = torch.empty(needed.value, dtype=torch.uint8, device="cuda")
        self._enqueue("router", RouterArgs, numbers, tensors)

    @staticmethod
    def _arguments(args_type, numbers, arguments):
        """A struct of the C API, which keeps what it points to; of `arguments` tensors are borrowed."""
        given = {
            name: ctypes.pointer(dl_tensor(value)) if isinstance(value, torch.Tensor) else value
            for name, value in arguments.items()
        }
        return args_type(ctypes.sizeof(args_type), *numbers, **given)

    def _enqueue(self, name, args_type, numbers, arguments):
        """Calls moe_tune_`name`."""
        args = self._arguments(args_type, numbers, arguments)
        function = getattr(self._library, f"moe_tune_{name}")
        self._check(function(ctypes.byref(args), torch.cuda.current_stream().cuda_stream), f"moe_tune_{name}")

    def call(self, layer, config=None):
        """The call that computes `layer` (moe_layer.Layer), with the config of that name or the library's choice."""
        return Call(self, layer, config)


class Call:
    """One call with its arguments made beforehand, so that run() is the C call alone."""

    def __init__(self, library, layer, config=None):
        problem = layer.problem
        self._library = library
        self._tokens = layer.tokens
        # The DLTensors, and what they borrow, must outlive the call.
        self._layer = layer
        self._tensors = {}
        self._suffix, args = OPERATIONS[problem.op]
        self._args = args(
            struct_size=ctypes.sizeof(args),
            gemm=GEMMS[problem.gemm],
            top_k=problem.top_k,
            permute_x=problem.permute_x,
            permute_y=problem.permute_y,
        )
        if config is not None:
            self._config = parse_config(config)
            # Says how rows are gathered, which other problems do not ask for, and dW by dispatch alone.
            self._config.gather = self._config.gather if problem.gathers and problem.op != "dW" else 0
            self._args.config = ctypes.pointer(self._config)
        for name, tensor in {**layer.inputs, **layer.outputs}.items():
            self._set(name, tensor)
        self._set("m_sizes", layer.m_sizes)
        if problem.permuted:
            self._set("gather_indices", layer.gather_indices)
        if problem.fuse_mul_post or problem.fuse_mul_pre:
            self._set("topk_weights", layer.topk_weights)
        for flag in ("fuse_mul_post", "fuse_mul_pre", "fuse_swiglu", "accumulate"):
            if getattr(problem, flag):
                setattr(self._args, flag, 1)

    def _set(self, name, tensor):
        self._tensors[name] = (dl_tensor(tensor), tensor)
        setattr(self._args, name, ctypes.pointer(self._tensors[name][0]))

    def _call(self, name, *arguments):
        function = self._library.function(name, self._suffix)
        self._library._check(function(ctypes.byref(self._args), *arguments), f"moe_tune_{name}_{self._suffix}")

    def run(self):
        self._call("grouped_gemm", torch.cuda.current_stream().cuda_stream)

    def prepare(self, tokens=None):
        """Compiles and loads the kernels of these token counts, by default of the layer's."""
        counts = [self._tokens] if tokens is None else tokens
        self._call("prepare", (ctypes.c_int64 * len(counts))(*counts), len(counts))

    def workspace_bytes(self):
        size = ctypes.c_size_t()
        self._call("workspace_bytes", self._tokens, ctypes.byref(size))
        return size.value

    def use_workspace(self, tensor):
        """Computes in this uint8 tensor of workspace_bytes() bytes rather than in memory of the library's pool."""
        self._set("workspace", tensor)

    def explain(self):
        """Which config serves the call, and why."""
        text = ctypes.create_string_buffer(1024)
        self._call("explain", self._tokens, text, len(text))
        return text.value.decode()
