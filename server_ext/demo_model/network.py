"""The network as llama.cpp's `llama` architecture computes it: RMSNorm, rotary GQA, SwiGLU, tied head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network. Every row length is a multiple of 32, as Q8_0 needs it."""

    vocabulary: int = 3072
    width: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    hidden: int = 512
    context: int = 2048
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """Numbers per head."""
        return self.width // self.heads


def rotations(shape: Shape, length: int) -> Tensor:
    """Unit complex numbers (length, head_width / 2) by which neighbours are rotated."""
    pairs = torch.arange(0, shape.head_width, 2) / shape.head_width
    angles = torch.outer(torch.arange(length), shape.rope_base**-pairs)
    return torch.polar(torch.ones_like(angles), angles)


def rotated(x: Tensor, by: Tensor) -> Tensor:
    """Rotate neighbouring pairs: llama.cpp's order for this architecture. x: (batch, heads, length, width)."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * by).flatten(-2).type_as(x)


class Norm(nn.Module):
    """RMS normalisation with a weight."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(shape.width)), shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.epsilon)


class Layer(nn.Module):
    """Attention and feed-forward, each with a norm before it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, kv = shape.width, shape.kv_heads * shape.head_width
        self.shape = shape
        self.attn_norm, self.ffn_norm = Norm(shape), Norm(shape)
        self.attn_q, self.attn_output = (
            nn.Linear(width, width, False),
            nn.Linear(width, width, False),
        )
        self.attn_k, self.attn_v = nn.Linear(width, kv, False), nn.Linear(width, kv, False)
        self.ffn_gate, self.ffn_up = (
            nn.Linear(width, shape.hidden, False),
            nn.Linear(width, shape.hidden, False),
        )
        self.ffn_down = nn.Linear(shape.hidden, width, False)

    def forward(self, x: Tensor, by: Tensor) -> Tensor:
        x = x + self.attend(self.attn_norm(x), by)
        y = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))

    def attend(self, x: Tensor, by: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            p(x).view(batch, length, -1, self.shape.head_width).transpose(1, 2)
            for p in (self.attn_q, self.attn_k, self.attn_v)
        )
        share = self.shape.heads // self.shape.kv_heads
        k, v = rotated(k, by).repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        out = F.scaled_dot_product_attention(rotated(q, by), k, v, is_causal=True)
        return self.attn_output(out.transpose(1, 2).reshape(batch, length, width))


class Network(nn.Module):
    """Tokens (batch, length) in, logits (batch, length, vocabulary) out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape)
        self.register_buffer("by", rotations(shape, shape.context), persistent=False)
        self.apply(self._start)

    def _start(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(
                module.weight,
                std=0.02
                if isinstance(module, nn.Embedding)
                else module.weight.shape[1] ** -0.5 * 0.7,
            )

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_embd(tokens)
        for layer in self.blk:
            x = layer(x, self.by[: tokens.shape[1]])
        return F.linear(self.output_norm(x), self.token_embd.weight)
