"""The blocks of the C API (moe_tune_block_* in runtime/include/moe_tune/moe_tune.h) on torch tensors, through ctypes."""

import ctypes

import torch

from moe_tune_ctypes import GEMMS, DLTensor, ForwardConfig, dl_tensor, parse_config

Tensor = ctypes.POINTER(DLTensor)
Config = ctypes.POINTER(ForwardConfig)
Handle = ctypes.c_void_p
Step = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)

MODELS = {"qwen3": 0, "llama4": 1}
SWITCH = {None: 0, True: 1, False: 2}
STEPS = ("router", "permute", "gate_up", "down", "shared_expert", "combine")  # and "end"
BACKWARD_STEPS = (  # and "end"
    *("permute_d_out", "dX_down", "swiglu", "dW_down", "permute_x", "dW_gate_up", "dX_gate_up"),
    *("router", "shared_expert", "combine"),
)


class BlockOptions(ctypes.Structure):
    _switches = ("permute_x", "permute_y", "autotune")
    _configs = (
        *("config_fwd_gate_up", "config_fwd_down", "config_bwd_dX_gate_up", "config_bwd_dX_down"),
        *("config_bwd_dW_gate_up", "config_bwd_dW_down"),
    )
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        *((name, ctypes.c_int32) for name in _switches),
        ("dW_only", ctypes.c_int32),
        ("dX_only", ctypes.c_int32),
        ("overlap_router_shared", ctypes.c_int32),
        ("no_shared_expert", ctypes.c_int32),
        ("first_expert", ctypes.c_int32),
        ("expert_count", ctypes.c_int32),
        *((name, Config) for name in _configs),
        ("float32_dW", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]

    @classmethod
    def of(cls, **values):
        """Switches are True, False or None, the default; configs are names."""
        options = cls(struct_size=ctypes.sizeof(cls))
        for name, value in values.items():
            if name not in (field[0] for field in cls._fields_):
                raise TypeError(f"a block has no option {name}")
            if name in cls._switches:
                value = SWITCH[value]
            elif name in cls._configs:
                value = ctypes.pointer(parse_config(value))
            setattr(options, name, value)
        return options


class BlockArgs(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("model", ctypes.c_int32),
        ("top_k", ctypes.c_int32),
        ("norm_topk_prob", ctypes.c_int32),
        ("gate", Tensor),
        ("gate_up_proj", Tensor),
        ("down_proj", Tensor),
        ("shared_gate_up_proj", Tensor),
        ("shared_down_proj", Tensor),
        ("options", ctypes.POINTER(BlockOptions)),
    ]


class BlockForwardArgs(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("inject_selection", ctypes.c_int32),
        ("hidden_states", Tensor),
        ("out", Tensor),
        ("router_logits", Tensor),
        ("selected_experts", Tensor),
        ("topk_weights", Tensor),
        ("token_count", Tensor),
        ("workspace", Tensor),
        ("on_step", Step),
        ("user", ctypes.c_void_p),
        ("saved", Tensor),
    ]


class BlockBackwardArgs(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("accumulate", ctypes.c_int32),
        ("hidden_states", Tensor),
        ("d_out", Tensor),
        ("d_router_logits", Tensor),
        ("d_hidden_states", Tensor),
        ("d_gate", Tensor),
        ("d_gate_up_proj", Tensor),
        ("d_down_proj", Tensor),
        ("d_shared_gate_up_proj", Tensor),
        ("d_shared_down_proj", Tensor),
        ("saved", Tensor),
        ("workspace", Tensor),
        ("on_step", Step),
        ("user", ctypes.c_void_p),
    ]


class Block:
    """A block of a Library (moe_tune_ctypes.py). `with` destroys it at the end; so does destroy(). No work of it may run then."""

    def __init__(self, library, create):
        """`create` gets the pointer to where the handle goes."""
        self._library = library
        self._handle = Handle()
        self._forward = library.checked("block_forward", Handle, ctypes.POINTER(BlockForwardArgs), ctypes.c_void_p)
        create(ctypes.byref(self._handle))

    @classmethod
    def create(cls, library, model, top_k, tensors, norm_topk_prob=True, **options):
        """Of a model ("qwen3" or "llama4") on tensors of the caller, {name in BlockArgs: tensor}."""
        borrowed = {name: dl_tensor(tensor) for name, tensor in tensors.items()}
        args = BlockArgs(
            struct_size=ctypes.sizeof(BlockArgs),
            model=MODELS[model],
            top_k=top_k,
            norm_topk_prob=norm_topk_prob,
            options=ctypes.pointer(BlockOptions.of(**options)),
            **{name: ctypes.pointer(tensor) for name, tensor in borrowed.items()},
        )
        call = library.checked("block_create", ctypes.POINTER(BlockArgs), ctypes.POINTER(Handle))
        block = cls(library, lambda handle: call(ctypes.byref(args), handle))
        block._weights = tensors  # must outlive the block
        return block

    @classmethod
    def from_hf(cls, library, folder, layer, device=0, **options):
        """A layer of a checkpoint folder."""
        types = (ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(BlockOptions), ctypes.POINTER(Handle))
        call = library.checked("block_from_hf", *types)
        return cls(
            library,
            lambda handle: call(str(folder).encode(), layer, device, ctypes.byref(BlockOptions.of(**options)), handle),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        torch.cuda.synchronize()
        self.destroy()

    def destroy(self):
        self._library.checked("block_destroy", Handle)(self._handle)
        self._handle = Handle()

    def prepare(self, tokens):
        """Compiles and loads what these token counts need."""
        counts = (ctypes.c_int64 * len(tokens))(*tokens)
        self._library.checked("block_prepare", Handle, ctypes.POINTER(ctypes.c_int64), ctypes.c_size_t)(
            self._handle, counts, len(tokens)
        )

    def prepare_training(self, tokens, accumulate=False):
        """As prepare(), for a forward that keeps what the backward reads, and for that."""
        counts = (ctypes.c_int64 * len(tokens))(*tokens)
        types = (Handle, ctypes.POINTER(ctypes.c_int64), ctypes.c_size_t, ctypes.c_int32)
        self._library.checked("block_prepare_training", *types)(self._handle, counts, len(tokens), accumulate)

    def workspace_bytes(self, tokens):
        return self._bytes("block_workspace_bytes", tokens)

    def saved_bytes(self, tokens):
        """Of what a forward keeps for its backward."""
        return self._bytes("block_saved_bytes", tokens)

    def training_workspace_bytes(self, tokens):
        return self._bytes("block_training_workspace_bytes", tokens)

    def _bytes(self, name, tokens):
        size = ctypes.c_size_t()
        call = self._library.checked(name, Handle, ctypes.c_int64, ctypes.POINTER(ctypes.c_size_t))
        call(self._handle, tokens, ctypes.byref(size))
        return size.value

    def explain(self, gemm, tokens):
        """Which config serves "gate_up" or "down", and why."""
        text = ctypes.create_string_buffer(1024)
        types = (Handle, ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p, ctypes.c_size_t)
        self._library.checked("block_explain", *types)(self._handle, GEMMS[gemm], tokens, text, len(text))
        return text.value.decode()

    def call(self, hidden_states, out, **arguments):
        return BlockCall(self, hidden_states=hidden_states, out=out, **arguments)

    def backward_call(self, hidden_states, d_out, saved, **arguments):
        return BlockBackwardCall(self, hidden_states=hidden_states, d_out=d_out, saved=saved, **arguments)


class PreparedCall:
    """A call of a block with its arguments made beforehand, so that run() is the C call alone."""

    def __init__(self, block, function, args_type, tensors, on_step, **numbers):
        """`tensors` by their names in `args_type`, those left out are NULL; `on_step` is called with a step's name."""
        self._block = block
        self._function = function
        # The DLTensors, and what they borrow, must outlive the call.
        self._tensors = tensors
        self._borrowed = {name: dl_tensor(tensor) for name, tensor in tensors.items() if tensor is not None}
        self._on_step = Step(lambda name, _: on_step(name.decode())) if on_step else Step()
        self._args = args_type(
            struct_size=ctypes.sizeof(args_type),
            on_step=self._on_step,
            **numbers,
            **{name: ctypes.pointer(tensor) for name, tensor in self._borrowed.items()},
        )
        self._reference = ctypes.byref(self._args)

    def run(self):
        self.run_on(torch.cuda.current_stream().cuda_stream)

    def run_on(self, stream):
        """On the stream of this handle."""
        self._function(self._block._handle, self._reference, stream)


class BlockCall(PreparedCall):
    """A forward."""

    def __init__(self, block, inject_selection=False, on_step=None, **tensors):
        super().__init__(block, block._forward, BlockForwardArgs, tensors, on_step, inject_selection=inject_selection)


class BlockBackwardCall(PreparedCall):
    """The backward of a forward that kept `saved`, which it overwrites."""

    def __init__(self, block, accumulate=False, on_step=None, **tensors):
        types = (Handle, ctypes.POINTER(BlockBackwardArgs), ctypes.c_void_p)
        function = block._library.checked("block_backward", *types)
        super().__init__(block, function, BlockBackwardArgs, tensors, on_step, accumulate=accumulate)
