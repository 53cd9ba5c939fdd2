"""The U-Net that looks at words, from diffusers, with attention that can be watched: who looks at which word.

The shared weights are used by several people at a time, so nothing is kept in the modules: whoever wants the
maps passes a list as ``cross_attention_kwargs={"record": list}``, and every cross-attention appends its own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def build_unet(
    channels: int, widths: tuple[int, int], num_blocks: int, num_heads: int, text_width: int
) -> nn.Module:
    """A U-Net on 8x8 latents that attends to words at 8x8 and in the middle, at 4x4.

    Args:
        channels: of the latents.
        widths: channels inside, at 8x8 and at 4x4.
        num_blocks: residual blocks on each of the two, on the way down; one more on the way up.
        num_heads: of every attention.
        text_width: of a word's vector, and of the whole text's, which goes in beside the time.
    """
    from diffusers import UNet2DConditionModel

    unet: Any = UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=num_blocks,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=text_width,
        time_embedding_dim=2 * widths[0],
        attention_head_dim=num_heads,  # what diffusers calls the number of heads
        norm_num_groups=16,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=text_width,
    )
    unet.set_attn_processor(WatchedAttention())
    return unet.to(memory_format=torch.channels_last)


class WatchedAttention:
    """An attention processor for diffusers: softmax(q k^T / sqrt(d)) v (1706.03762, eq. 1).

    With a record, cross-attention computes the softmax openly and appends the mean over heads, (B, N, L): how
    much each of N places looks at each of L tokens. The result is the same.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        record: list[Tensor] | None = None,
        **_: Any,
    ) -> Tensor:
        """(B, N, C) and, for cross-attention, (B, L, E) with a bias (B, 1, L) -> (B, N, C)."""
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if attention_mask is not None:
            attention_mask = attn.prepare_attention_mask(attention_mask, seen.shape[1], len(seen))
            attention_mask = attention_mask.view(len(seen), attn.heads, -1, attention_mask.shape[-1])
        q, k, v = (
            part.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for part in (attn.to_q(hidden_states), attn.to_k(seen), attn.to_v(seen))
        )  # (B, heads, N or L, d)
        if record is None or encoder_hidden_states is None:
            result = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask)
        else:
            logits = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
            weights = (logits if attention_mask is None else logits + attention_mask).softmax(dim=3)
            record.append(weights.mean(dim=1))
            result = weights @ v
        return attn.to_out[1](attn.to_out[0](result.transpose(1, 2).flatten(2)))


def maps(record: list[Tensor], side: int) -> Tensor:
    """Recorded attention as one map a token: a list of (B, n * n, L), n up to side -> (B, L, side, side).

    Coarse maps are enlarged and all weigh the same, so over tokens a place's values sum to 1.
    """
    grids = []
    for weights in record:
        n = round(weights.shape[1] ** 0.5)
        grid = weights.transpose(1, 2).unflatten(2, (n, n))
        grids.append(F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False))
    return torch.stack(grids).mean(dim=0)
