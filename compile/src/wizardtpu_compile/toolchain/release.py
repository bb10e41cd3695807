"""The one release of the vendor's toolchain this package is made for, and what of it is needed."""

from __future__ import annotations

DISTRIBUTION = "tpu_mlir"
VERSION = "1.30.2"
WHEEL_NAME = f"{DISTRIBUTION}-{VERSION}-py3-none-any.whl"
WHEEL_SHA256 = "542807361c9eeb0777a7bd35e501d8c71cce767e4bce021a3cb3a7c25c35f909"
WHEEL_BYTES = 311_886_106

LAYOUT = 1
"""Version of the directory an install makes; one of another layout is not accepted."""

# The libraries are those tpuc-opt links, and those it opens by name while it compiles for the BM1684X.
_COMPILER = (
    "tpu_mlir/bin/tpuc-opt",
    "tpu_mlir/bin/model_tool",
    "tpu_mlir/lib/libbackend_bm1684x.so",
    "tpu_mlir/lib/libbm1684x_kernel_module.so",
    "tpu_mlir/lib/libcpuop.so",
    "tpu_mlir/lib/libortools.so.9",
    "tpu_mlir/lib/libppl_host.so",
    "tpu_mlir/lib/third_party/libdnnl.so.3",
    "tpu_mlir/lib/third_party/libgcc_s.so.1",
    "tpu_mlir/lib/third_party/libomp.so.5",
    "tpu_mlir/lib/third_party/libstdc++.so.6",
    "tpu_mlir/lib/third_party/libz.so.1",
)
# Attention is a kernel in the vendor's own language: when a network needs it, it is made C, and the host compiles
# that. tpu_6_0 is what that language calls the BM1684X.
_KERNEL_COMPILER = (
    "tpu_mlir/cross_toolchains/ppl_compile/bin/*",
    "tpu_mlir/cross_toolchains/ppl_compile/inc/*",
    "tpu_mlir/cross_toolchains/ppl_compile/deps/chip/chip_map.json",
    "tpu_mlir/cross_toolchains/ppl_compile/deps/chip/tpu_6_0/*",
    "tpu_mlir/cross_toolchains/ppl_compile/deps/common/dev/*",
    "tpu_mlir/cross_toolchains/ppl_compile/deps/scripts/DescDevice.cmake",
    "tpu_mlir/cross_toolchains/ppl_compile/deps/scripts/GenChipDef.cmake",
)
SIMULATOR = (
    "tpu_mlir/lib/libbmlib.so.0",
    "tpu_mlir/lib/libbmrt.so",
    "tpu_mlir/lib/libcmodel_bm1684x.so",
)
_LICENSE = (f"{DISTRIBUTION}-{VERSION}.dist-info/*",)

COMPILING = (*_COMPILER, *_KERNEL_COMPILER, *SIMULATOR, *_LICENSE)
"""Patterns of the wheel's members that compiling and simulating need."""

EXECUTABLE = ("tpu_mlir/bin/*", "tpu_mlir/cross_toolchains/ppl_compile/bin/*", "tpu_mlir/python/tools/*.py")
"""Programs among them: a zip archive as Python unpacks it loses their permissions."""

NEVER = tuple(f"tpu_mlir/lib/third_party/lib{name}.so.*" for name in ("c", "m", "pthread"))
"""An old C library, which breaks every program that meets it beside the host's own."""

WITH_FRONTEND = ("tpu_mlir/*", *_LICENSE)
"""The same with the vendor's Python modules: these open libraries of other chips as well."""
