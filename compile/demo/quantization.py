"""Simulated quantization: what int8 and int4 weights do to the network, in training and in measurement.

Rounding has no useful gradient, so gradients pass through it unchanged (the straight-through estimator).
"""

from __future__ import annotations

import copy
from enum import Enum

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import GPTBigCodeForCausalLM

GROUP_SIZE = 64


class Precision(Enum):
    """How the weights of the Linear layers are rounded. Everything else keeps its own precision."""

    F32 = "f32"
    F16 = "f16"  # the weights of a checkpoint are float16 already: only the arithmetic changes
    INT8 = "int8"  # symmetric, one scale per output channel
    INT8_DYNAMIC = "int8, dynamic activations"  # the same, and inputs rounded to int8 with one scale each
    INT4 = "int4"  # minimum and maximum of each group of 64 along the input; the head is int8
    INT4_SYMMETRIC = "int4, symmetric"  # the largest magnitude of each group; the head is int8


def logits(network: GPTBigCodeForCausalLM, precision: Precision, input_ids: Tensor) -> Tensor:
    """[batch, length] token ids -> [batch, length, vocabulary] logits of the network at `precision`."""
    hooks = _input_hooks(network, precision)
    weights = rounded_weights(network, precision)
    output = functional_call(network, weights, (), {"input_ids": input_ids, "use_cache": False}, tie_weights=False)
    for hook in hooks:
        hook.remove()
    result: Tensor = output.logits
    return result


def quantized_copy(network: GPTBigCodeForCausalLM, precision: Precision) -> GPTBigCodeForCausalLM:
    """A network of its own with the rounded weights; its head is no longer tied to the embedding."""
    result = copy.deepcopy(network)
    result.config.tie_word_embeddings = False
    for name, weight in rounded_weights(network, precision).items():
        result.get_submodule(name.removesuffix(".weight")).weight = nn.Parameter(weight.detach().clone())
    _input_hooks(result, precision)
    return result.half() if precision is Precision.F16 else result


def rounded_weights(network: nn.Module, precision: Precision) -> dict[str, Tensor]:
    """Parameter name -> rounded weight [out, in] of every Linear layer; empty for f32 and f16."""
    if precision in {Precision.F32, Precision.F16}:
        return {}
    return {
        f"{name}.weight": module.weight + _rounding_error(module.weight.detach(), _scheme(name, precision))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }


def _scheme(name: str, precision: Precision) -> Precision:
    int4 = precision in {Precision.INT4, Precision.INT4_SYMMETRIC}
    return Precision.INT8 if name == "lm_head" or not int4 else precision


def _rounding_error(weight: Tensor, scheme: Precision) -> Tensor:
    groups = weight if scheme is Precision.INT8 else weight.unflatten(-1, (-1, GROUP_SIZE))
    if scheme is Precision.INT4:
        rounded = _round_asymmetric(groups, 15)
    else:
        rounded = _round_symmetric(groups, 127 if scheme is Precision.INT8 else 7)
    return (rounded - groups).view_as(weight)


def _round_symmetric(groups: Tensor, largest: int) -> Tensor:
    scale = groups.abs().amax(-1, keepdim=True).clamp_min(1e-8) / largest
    return (groups / scale).round() * scale


def _round_asymmetric(groups: Tensor, levels: int) -> Tensor:
    low = groups.amin(-1, keepdim=True).clamp_max(0)
    high = groups.amax(-1, keepdim=True).clamp_min(0)
    scale = (high - low).clamp_min(1e-8) / levels
    zero = (-low / scale).round()
    return ((groups / scale + zero).round().clamp(0, levels) - zero) * scale


def _input_hooks(network: nn.Module, precision: Precision) -> list[torch.utils.hooks.RemovableHandle]:
    if precision is not Precision.INT8_DYNAMIC:
        return []
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return [layer.register_forward_pre_hook(_round_input) for layer in layers]


def _round_input(_layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    values = inputs[0].detach()
    return inputs[0] + (_round_symmetric(values.flatten(), 127).view_as(values) - values)
