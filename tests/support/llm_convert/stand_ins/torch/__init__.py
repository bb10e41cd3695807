"""Stands in for PyTorch, of which the vendor's converter uses the names of types alone to read safetensors."""

from __future__ import annotations

float32 = "F32"
float16 = "F16"
bfloat16 = "BF16"
float8_e4m3fn = "F8_E4M3"
float8_e5m2 = "F8_E5M2"
