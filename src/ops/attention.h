#pragma once
// Causal attention over B sequences of S tokens, grouped queries, optional separation of packed documents.

#include <ATen/core/Tensor.h>

namespace granule {

/// softmax(q k^T / sqrt(head_dim)) v, causal. `q_BSHd` [B, S, H, d], `k_BSGd` and `v_BSGd` [B, S, G, d] with
/// H a multiple of G (query head h reads key head h / (H/G)). `segment_BS` (int64), if defined, keeps a token
/// from seeing tokens of another segment; -1 marks padding, whose outputs mean nothing but are finite. Result
/// [B, S, H, d] in q's dtype. Differentiable in q, k, v.
at::Tensor causal_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BSGd, const at::Tensor& v_BSGd,
                            const at::Tensor& segment_BS);

/// Queries of some tokens of sequences of which keys and values `k_BPGd`, `v_BPGd` [B, P, G, d] are kept;
/// `sees_B1SP` (bool) tells which of its row's P a query sees, one at least. No gradients. For generation
/// with a key-value cache.
at::Tensor cached_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BPGd, const at::Tensor& v_BPGd,
                            const at::Tensor& sees_B1SP);

}  // namespace granule
