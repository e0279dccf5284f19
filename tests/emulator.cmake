# Emitted kernels on the emulated device. Needs a host compiler, which is there where these were built.
moe_tune_test(emulator_tests FOLDER emulator LINK moe_tune_emulator moe_tune_blocks LABEL emulator)
