#pragma once
// Loop-only twins of src/ops, in double, slow and plain: each gives the value and, for a gradient of that
// value, the gradients of the inputs.

#include <ATen/core/Tensor.h>

#include <vector>

namespace granule {

struct NaiveOrder {
  at::Tensor source_N;
  at::Tensor position_TK;
  std::vector<int64_t> end_G;
};
NaiveOrder naive_order_rows(const at::Tensor& group_TK, int64_t num_groups);

at::Tensor naive_sum_slots(const at::Tensor& y_ND, const at::Tensor& position_TK);

struct NaiveLinear {
  at::Tensor y_RO, grad_x_RI, grad_weight_OI;
};
NaiveLinear naive_linear(const at::Tensor& x_RI, const at::Tensor& weight_OI, const at::Tensor& grad_y_RO);

struct NaiveExperts {
  at::Tensor y_TD, grad_x_TD, grad_scale_N, grad_gate_eFD, grad_up_eFD, grad_down_eDF;
};
NaiveExperts naive_expert_mlp(const at::Tensor& x_TD, const at::Tensor& source_N,
                              const std::vector<int64_t>& end_G, const at::Tensor& scale_N,
                              const at::Tensor& gate_eFD, const at::Tensor& up_eFD,
                              const at::Tensor& down_eDF, const at::Tensor& grad_y_TD);

struct NaiveCrossEntropy {
  at::Tensor loss_T, grad_hidden_TD, grad_head_VD;
};
NaiveCrossEntropy naive_cross_entropy(const at::Tensor& hidden_TD, const at::Tensor& head_VD,
                                      const at::Tensor& label_T, const at::Tensor& mask_T,
                                      const at::Tensor& grad_loss_T);

struct NaiveNorm {
  at::Tensor y_TD, grad_x_TD, grad_weight_D;
};
NaiveNorm naive_rms_norm(const at::Tensor& x_TD, const at::Tensor& weight_D, double eps,
                         const at::Tensor& grad_y_TD);

at::Tensor naive_rotary(const at::Tensor& x_BSHd, const at::Tensor& position_BS, double theta);

struct NaiveAttention {
  at::Tensor out_BSHd, grad_q_BSHd, grad_k_BPGd, grad_v_BPGd;
};
/// The S queries are the last of the P keys' tokens; `segment_BS` undefined or of P = S tokens.
NaiveAttention naive_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BPGd, const at::Tensor& v_BPGd,
                               const at::Tensor& segment_BS, const at::Tensor& grad_out_BSHd);

at::Tensor naive_top_k_ids(const at::Tensor& score_TE, int64_t k);

}  // namespace granule
