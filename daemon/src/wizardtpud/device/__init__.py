"""Devices: one small interface to a loaded model's networks, and its implementations.

`onnx` runs them on the CPU, `bmrt` on Sophgo's TPUs and on the vendor's simulator of one; `sail` does as `bmrt`,
through the vendor's Python interface.

Nothing in this package knows what a language model is.
"""
