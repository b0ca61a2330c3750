#include "tests/support/naive_ops.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace granule {

namespace {

// A tensor as doubles in row-major order, written back by `tensor()`.
class Doubles {
 public:
  explicit Doubles(const at::Tensor& tensor)
      : tensor_(tensor.detach().to(at::kDouble).contiguous().clone()),
        sizes_(tensor_.sizes().vec()),
        data_(tensor_.mutable_data_ptr<double>()) {}
  explicit Doubles(at::IntArrayRef shape) : Doubles(at::zeros(shape, at::kDouble)) {}

  template <class... Index>
  double& operator()(Index... index) const {
    int64_t flat = 0;
    size_t dim = 0;
    ((flat = flat * sizes_[dim++] + index), ...);
    return data_[flat];
  }
  const at::Tensor& tensor() const { return tensor_; }

 private:
  at::Tensor tensor_;
  std::vector<int64_t> sizes_;
  double* data_;
};

const int64_t* ids(const at::Tensor& tensor) {
  return tensor.const_data_ptr<int64_t>();
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

}  // namespace

NaiveOrder naive_order_rows(const at::Tensor& group_TK, int64_t num_groups) {
  const auto [T, K] = get_shape<2>(group_TK);
  NaiveOrder order;
  std::vector<int64_t> source;
  order.position_TK = at::full({T, K}, -1, at::kLong);
  for (int64_t g = 0; g < num_groups; ++g) {
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t k = 0; k < K; ++k) {
        if (ids(group_TK)[t * K + k] != g) continue;
        order.position_TK.mutable_data_ptr<int64_t>()[t * K + k] = static_cast<int64_t>(source.size());
        source.push_back(t);
      }
    }
    order.end_G.push_back(static_cast<int64_t>(source.size()));
  }
  order.source_N = at::empty({static_cast<int64_t>(source.size())}, at::kLong);
  std::copy(source.begin(), source.end(), order.source_N.mutable_data_ptr<int64_t>());
  return order;
}

at::Tensor naive_sum_slots(const at::Tensor& y_ND, const at::Tensor& position_TK) {
  const auto [T, K] = get_shape<2>(position_TK);
  const int64_t D = y_ND.size(1);
  const Doubles y(y_ND), out({T, D});
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      const int64_t n = ids(position_TK)[t * K + k];
      for (int64_t d = 0; n >= 0 && d < D; ++d) out(t, d) += y(n, d);
    }
  }
  return out.tensor();
}

NaiveLinear naive_linear(const at::Tensor& x_RI, const at::Tensor& weight_OI, const at::Tensor& grad_y_RO) {
  const auto [R, O] = get_shape<2>(grad_y_RO);
  const int64_t I = x_RI.size(1);
  const Doubles x(x_RI), weight(weight_OI), grad_y(grad_y_RO);
  const Doubles y({R, O}), grad_x({R, I}), grad_weight({O, I});
  for (int64_t r = 0; r < R; ++r) {
    for (int64_t o = 0; o < O; ++o) {
      for (int64_t i = 0; i < I; ++i) {
        y(r, o) += x(r, i) * weight(o, i);
        grad_x(r, i) += grad_y(r, o) * weight(o, i);
        grad_weight(o, i) += grad_y(r, o) * x(r, i);
      }
    }
  }
  return {y.tensor(), grad_x.tensor(), grad_weight.tensor()};
}

NaiveExperts naive_expert_mlp(const at::Tensor& x_TD, const at::Tensor& source_N,
                              const std::vector<int64_t>& end_G, const at::Tensor& scale_N,
                              const at::Tensor& gate_eFD, const at::Tensor& up_eFD,
                              const at::Tensor& down_eDF, const at::Tensor& grad_y_TD) {
  const auto [E, F, D] = get_shape<3>(gate_eFD);
  const Doubles x(x_TD), scale(scale_N), gate(gate_eFD), up(up_eFD), down(down_eDF), grad_y(grad_y_TD);
  const Doubles y(grad_y_TD.sizes()), grad_x(x_TD.sizes()), grad_scale(scale_N.sizes());
  const Doubles grad_gate(gate_eFD.sizes()), grad_up(up_eFD.sizes()), grad_down(down_eDF.sizes());
  for (int64_t n = 0, e = 0; n < source_N.size(0); ++n) {
    while (n >= end_G[static_cast<size_t>(e)]) ++e;
    const int64_t t = ids(source_N)[n];
    for (int64_t f = 0; f < F; ++f) {
      double g = 0, u = 0, through_down = 0;
      for (int64_t d = 0; d < D; ++d) {
        g += x(t, d) * gate(e, f, d);
        u += x(t, d) * up(e, f, d);
        through_down += grad_y(t, d) * down(e, d, f);
      }
      const double silu = g * sigmoid(g);
      const double grad_h = scale(n) * through_down;
      const double grad_u = grad_h * silu;
      const double grad_g = grad_h * u * (sigmoid(g) + silu * (1 - sigmoid(g)));
      grad_scale(n) += through_down * silu * u;
      for (int64_t d = 0; d < D; ++d) {
        y(t, d) += scale(n) * silu * u * down(e, d, f);
        grad_down(e, d, f) += scale(n) * grad_y(t, d) * silu * u;
        grad_gate(e, f, d) += grad_g * x(t, d);
        grad_up(e, f, d) += grad_u * x(t, d);
        grad_x(t, d) += grad_g * gate(e, f, d) + grad_u * up(e, f, d);
      }
    }
  }
  return {y.tensor(),         grad_x.tensor(),  grad_scale.tensor(),
          grad_gate.tensor(), grad_up.tensor(), grad_down.tensor()};
}

NaiveCrossEntropy naive_cross_entropy(const at::Tensor& hidden_TD, const at::Tensor& head_VD,
                                      const at::Tensor& label_T, const at::Tensor& mask_T,
                                      const at::Tensor& grad_loss_T) {
  const auto [T, D] = get_shape<2>(hidden_TD);
  const int64_t V = head_VD.size(0);
  const Doubles hidden(hidden_TD), head(head_VD), grad_loss(grad_loss_T);
  const Doubles loss(at::IntArrayRef{T}), grad_hidden({T, D}), grad_head({V, D});
  for (int64_t t = 0; t < T; ++t) {
    if (!mask_T.const_data_ptr<bool>()[t]) continue;
    std::vector<double> logit(static_cast<size_t>(V), 0.0);
    for (int64_t v = 0; v < V; ++v) {
      for (int64_t d = 0; d < D; ++d) logit[static_cast<size_t>(v)] += hidden(t, d) * head(v, d);
    }
    const double largest = *std::max_element(logit.begin(), logit.end());
    double sum = 0;
    for (const double value : logit) sum += std::exp(value - largest);
    const int64_t label = ids(label_T)[t];
    loss(t) = largest + std::log(sum) - logit[static_cast<size_t>(label)];
    for (int64_t v = 0; v < V; ++v) {
      const double probability = std::exp(logit[static_cast<size_t>(v)] - largest) / sum;
      const double grad = grad_loss(t) * (probability - (v == label ? 1 : 0));
      for (int64_t d = 0; d < D; ++d) {
        grad_hidden(t, d) += grad * head(v, d);
        grad_head(v, d) += grad * hidden(t, d);
      }
    }
  }
  return {loss.tensor(), grad_hidden.tensor(), grad_head.tensor()};
}

NaiveNorm naive_rms_norm(const at::Tensor& x_TD, const at::Tensor& weight_D, double eps,
                         const at::Tensor& grad_y_TD) {
  const auto [T, D] = get_shape<2>(x_TD);
  const Doubles x(x_TD), weight(weight_D), grad_y(grad_y_TD);
  const Doubles y({T, D}), grad_x({T, D}), grad_weight(at::IntArrayRef{D});
  for (int64_t t = 0; t < T; ++t) {
    double squares = 0, dot = 0;
    for (int64_t d = 0; d < D; ++d) squares += x(t, d) * x(t, d);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(D) + eps);
    for (int64_t d = 0; d < D; ++d) {
      y(t, d) = x(t, d) * scale * weight(d);
      grad_weight(d) += grad_y(t, d) * x(t, d) * scale;
      dot += grad_y(t, d) * weight(d) * x(t, d);
    }
    for (int64_t d = 0; d < D; ++d) {
      grad_x(t, d) =
          scale * grad_y(t, d) * weight(d) - scale * scale * scale * x(t, d) * dot / static_cast<double>(D);
    }
  }
  return {y.tensor(), grad_x.tensor(), grad_weight.tensor()};
}

at::Tensor naive_rotary(const at::Tensor& x_BSHd, const at::Tensor& position_BS, double theta) {
  const auto [B, S, H, dim] = get_shape<4>(x_BSHd);
  const Doubles x(x_BSHd), y(x_BSHd.sizes());
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t s = 0; s < S; ++s) {
      for (int64_t h = 0; h < H; ++h) {
        for (int64_t i = 0; i < dim / 2; ++i) {
          const double angle = static_cast<double>(ids(position_BS)[b * S + s]) *
                               std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
          y(b, s, h, i) = x(b, s, h, i) * std::cos(angle) - x(b, s, h, i + dim / 2) * std::sin(angle);
          y(b, s, h, i + dim / 2) =
              x(b, s, h, i + dim / 2) * std::cos(angle) + x(b, s, h, i) * std::sin(angle);
        }
      }
    }
  }
  return y.tensor();
}

NaiveAttention naive_attention(const at::Tensor& q_BSHd, const at::Tensor& k_BPGd, const at::Tensor& v_BPGd,
                               const at::Tensor& segment_BS, const at::Tensor& grad_out_BSHd) {
  const auto [B, S, H, dim] = get_shape<4>(q_BSHd);
  const int64_t P = k_BPGd.size(1), G = k_BPGd.size(2);
  const double scale = 1 / std::sqrt(static_cast<double>(dim));
  const Doubles q(q_BSHd), k(k_BPGd), v(v_BPGd), grad_out(grad_out_BSHd);
  const Doubles out(q_BSHd.sizes()), grad_q(q_BSHd.sizes()), grad_k(k_BPGd.sizes()), grad_v(v_BPGd.sizes());
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      const int64_t g = h / (H / G);
      for (int64_t s = 0; s < S; ++s) {
        const int64_t here = P - S + s;
        std::vector<double> weight(static_cast<size_t>(P), 0.0);
        std::vector<bool> seen(static_cast<size_t>(P), false);
        double sum = 0, mean_grad = 0, largest = -std::numeric_limits<double>::infinity();
        for (int64_t p = 0; p <= here; ++p) {
          if (segment_BS.defined() && ids(segment_BS)[b * P + p] != ids(segment_BS)[b * P + here]) continue;
          double score = 0;
          for (int64_t i = 0; i < dim; ++i) score += q(b, s, h, i) * k(b, p, g, i);
          weight[static_cast<size_t>(p)] = score * scale;
          seen[static_cast<size_t>(p)] = true;
          largest = std::max(largest, score * scale);
        }
        for (size_t p = 0; p < weight.size(); ++p) {
          weight[p] = seen[p] ? std::exp(weight[p] - largest) : 0;
          sum += weight[p];
        }
        std::vector<double> grad_weight(static_cast<size_t>(P), 0.0);
        for (int64_t p = 0; p <= here; ++p) {
          weight[static_cast<size_t>(p)] /= sum;
          for (int64_t i = 0; i < dim; ++i) {
            out(b, s, h, i) += weight[static_cast<size_t>(p)] * v(b, p, g, i);
            grad_v(b, p, g, i) += weight[static_cast<size_t>(p)] * grad_out(b, s, h, i);
            grad_weight[static_cast<size_t>(p)] += grad_out(b, s, h, i) * v(b, p, g, i);
          }
          mean_grad += weight[static_cast<size_t>(p)] * grad_weight[static_cast<size_t>(p)];
        }
        for (int64_t p = 0; p <= here; ++p) {
          const auto index = static_cast<size_t>(p);
          const double grad_score = weight[index] * (grad_weight[index] - mean_grad) * scale;
          for (int64_t i = 0; i < dim; ++i) {
            grad_q(b, s, h, i) += grad_score * k(b, p, g, i);
            grad_k(b, p, g, i) += grad_score * q(b, s, h, i);
          }
        }
      }
    }
  }
  return {out.tensor(), grad_q.tensor(), grad_k.tensor(), grad_v.tensor()};
}

at::Tensor naive_top_k_ids(const at::Tensor& score_TE, int64_t k) {
  const auto [T, E] = get_shape<2>(score_TE);
  const Doubles score(score_TE);
  auto id_TK = at::empty({T, k}, at::kLong);
  for (int64_t t = 0; t < T; ++t) {
    std::vector<int64_t> id(static_cast<size_t>(E));
    std::iota(id.begin(), id.end(), 0);
    std::stable_sort(id.begin(), id.end(), [&](int64_t a, int64_t b) {
      if (std::isnan(score(t, b))) return !std::isnan(score(t, a));
      return score(t, a) > score(t, b);
    });
    for (int64_t i = 0; i < k; ++i) id_TK.mutable_data_ptr<int64_t>()[t * k + i] = id[static_cast<size_t>(i)];
  }
  return id_TK;
}

}  // namespace granule
