#include "tests/support/device_checks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/check.h"
#include "ops/adamw_update.h"
#include "ops/master_weights.h"
#include "ops/attention.h"
#include "ops/cross_entropy.h"
#include "ops/expert_mlp.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"
#include "ops/rotary.h"
#include "ops/row_order.h"
#include "ops/top_k.h"
#include "tests/support/communicator_checks.h"
#include "tests/support/tensor_compare.h"

namespace granule {

namespace {

// Same values on every call: sines of the element's number.
at::Tensor values(at::IntArrayRef shape, at::ScalarType dtype, double salt) {
  int64_t count = 1;
  for (const auto size : shape) count *= size;
  return (at::arange(count, at::kDouble) * 12.9898 + salt)
      .sin()
      .mul(43758.5453)
      .frac()
      .sub(0.5)
      .mul(2)
      .view(shape)
      .to(dtype);
}

// Leaves and results of one computation on one device.
class Case {
 public:
  explicit Case(at::Device device) : device_(device) {}

  at::Tensor constant(const at::Tensor& host) const { return host.to(device_); }
  /// A leaf whose gradient becomes a result.
  at::Tensor leaf(const at::Tensor& host) {
    leaves_.push_back(host.to(device_, /*non_blocking=*/false, /*copy=*/true).detach().requires_grad_());
    return leaves_.back();
  }
  /// A weight: a leaf with an fp32 gradient set beforehand, as flat buffers do.
  at::Tensor weight(const at::Tensor& host) {
    const auto made = leaf(host);
    made.mutable_grad() = at::full(host.sizes(), 0.25, made.options().dtype(at::kFloat).requires_grad(false));
    return made;
  }
  /// `result` and, by a fixed weighting of its elements, all leaves' gradients.
  void differentiate(const at::Tensor& result) {
    results.push_back(result.detach());
    (result * constant(values(result.sizes(), at::kFloat, 5).to(result.scalar_type()))).sum().backward();
    for (const auto& leaf : leaves_) results.push_back(leaf.grad());
  }

  std::vector<at::Tensor> results;

 private:
  at::Device device_;
  std::vector<at::Tensor> leaves_;
};

using Body = std::function<void(Case&)>;

void expect_like_cpu(at::Device device, const std::string& what, double tolerance, const Body& body) {
  SCOPED_TRACE(what);
  Case on_cpu(at::kCPU), on_device(device);
  body(on_cpu);
  body(on_device);
  ASSERT_EQ(on_device.results.size(), on_cpu.results.size());
  for (size_t i = 0; i < on_cpu.results.size(); ++i) {
    SCOPED_TRACE(join_text("result ", i));
    const auto &actual = on_device.results[i], &expected = on_cpu.results[i];
    ASSERT_EQ(actual.device(), device);
    ASSERT_EQ(actual.scalar_type(), expected.scalar_type());
    if (tolerance == 0) {
      EXPECT_TRUE(actual.to(at::kCPU).equal(expected));
    } else {
      EXPECT_LE(max_relative_difference(actual.to(at::kCPU), expected), tolerance);
    }
  }
}

// Choices of 9 tokens among 5 groups, some dropped; group 3 stays empty.
at::Tensor some_choices() {
  return at::tensor({2, 0, 1, 4, -1, 2, 4, 0, 0, 1, -1, -1, 2, 1, 4, 2, 0, 4}, at::kLong).view({9, 2});
}

// Of the largest value of a result.
constexpr double kFp32 = 2e-6;
constexpr double kBf16 = 0.02;

double tolerance_of(at::ScalarType dtype) {
  return dtype == at::kFloat ? kFp32 : kBf16;
}

const std::vector<at::ScalarType> kDtypes = {at::kFloat, at::kBFloat16};

void expect_attention_like_cpu(at::Device device, at::ScalarType dtype) {
  const auto attend = [&](const at::Tensor& segment_BS) {
    return [segment_BS, dtype](Case& c) {
      const auto q = c.leaf(values({2, 7, 4, 16}, dtype, 1)), k = c.leaf(values({2, 7, 2, 16}, dtype, 2)),
                 v = c.leaf(values({2, 7, 2, 16}, dtype, 3));
      c.differentiate(causal_attention(q, k, v, segment_BS.defined() ? c.constant(segment_BS) : segment_BS));
    };
  };
  expect_like_cpu(device, "attention", tolerance_of(dtype), attend({}));
  const auto segment_BS = at::tensor({0, 0, 1, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0}, at::kLong).view({2, 7});
  expect_like_cpu(device, "attention within segments", tolerance_of(dtype), attend(segment_BS));
  const auto sees_B1SP = at::ones({3, 7}, at::kBool).tril(4).expand({2, 1, 3, 7}).contiguous();
  expect_like_cpu(device, "attention with a cache", tolerance_of(dtype), [&](Case& c) {
    c.results.push_back(cached_attention(c.constant(values({2, 3, 4, 16}, dtype, 1)),
                                         c.constant(values({2, 7, 2, 16}, dtype, 2)),
                                         c.constant(values({2, 7, 2, 16}, dtype, 3)), c.constant(sees_B1SP)));
  });
}

void expect_experts_like_cpu(at::Device device, at::ScalarType dtype, const at::Tensor& group_TK) {
  expect_like_cpu(device, join_text("experts in ", dtype), tolerance_of(dtype), [&](Case& c) {
    const auto x_TD = c.leaf(values({group_TK.size(0), 16}, dtype, 1));
    const ExpertWeights weights{c.weight(values({5, 32, 16}, dtype, 2)),
                                c.weight(values({5, 32, 16}, dtype, 3)),
                                c.weight(values({5, 16, 32}, dtype, 4))};
    const auto order = order_rows(c.constant(group_TK), 5);
    c.differentiate(expert_mlp(
        x_TD, order, gather_slots(c.leaf(values(group_TK.sizes(), at::kFloat, 5)), order), weights));
    c.differentiate(expert_mlp(x_TD, order, {}, weights));
  });
}

}  // namespace

void expect_routing_like_cpu(at::Device device) {
  expect_like_cpu(device, "top K of scores with ties and NaN", 0, [](Case& c) {
    auto score_TE = (values({40, 12}, at::kFloat, 1) * 4).round();
    score_TE[3][5] = std::numeric_limits<float>::quiet_NaN();
    score_TE[4].fill_(-std::numeric_limits<float>::infinity());
    for (const int64_t k : {1, 5, 12}) c.results.push_back(top_k_ids(c.constant(score_TE), k));
  });
  for (const auto& group_TK :
       {some_choices(), at::full({9, 2}, -1, at::kLong), at::zeros({0, 2}, at::kLong)}) {
    expect_like_cpu(device, "order of rows", 0, [&](Case& c) {
      const auto order = order_rows(c.constant(group_TK), 5);
      c.results = {order.source_N, order.position_TK, c.constant(at::tensor(order.end_G, at::kLong))};
    });
    for (const auto dtype : kDtypes) {
      expect_like_cpu(device, "gathered rows", tolerance_of(dtype), [&](Case& c) {
        const auto order = order_rows(c.constant(group_TK), 5);
        c.differentiate(gather_rows(c.leaf(values({group_TK.size(0), 16}, dtype, 1)), order));
      });
      expect_like_cpu(device, "combined rows", tolerance_of(dtype), [&](Case& c) {
        const auto order = order_rows(c.constant(group_TK), 5);
        const auto y_ND = c.leaf(values({order.num_rows(), 16}, dtype, 1));
        c.differentiate(combine_rows(y_ND, order));
      });
    }
  }
}

void expect_layers_like_cpu(at::Device device) {
  for (const auto dtype : kDtypes) {
    SCOPED_TRACE(join_text("in ", dtype));
    expect_like_cpu(device, "RMSNorm", tolerance_of(dtype), [&](Case& c) {
      c.differentiate(
          rms_norm(c.leaf(values({3, 5, 32}, dtype, 1)), c.weight(values({32}, at::kFloat, 2)), 1e-6));
    });
    expect_like_cpu(device, "rotary positions", tolerance_of(dtype), [&](Case& c) {
      const auto host = make_rotary_table(8, 32, 10000);
      const RotaryTable table{c.constant(host.cos_Pd), c.constant(host.sin_Pd)};
      const auto position_BS = at::tensor({0, 1, 2, 3, 4, 0, 1, 0, 1, 2}, at::kLong).view({2, 5});
      c.differentiate(apply_rotary(c.leaf(values({2, 5, 3, 32}, dtype, 1)), c.constant(position_BS), table));
    });
    expect_like_cpu(device, "linear", tolerance_of(dtype), [&](Case& c) {
      c.differentiate(
          apply_linear(c.leaf(values({3, 5, 32}, dtype, 1)), c.weight(values({48, 32}, dtype, 2))));
    });
    expect_like_cpu(device, "cross-entropy", tolerance_of(dtype), [&](Case& c) {
      const auto label_T = at::tensor({3, 0, 47, 12, 5, 5, 1}, at::kLong);
      const auto mask_T = at::tensor({1, 1, 0, 1, 1, 0, 1}, at::kLong).to(at::kBool);
      const auto losses =
          cross_entropy(c.leaf(values({7, 32}, dtype, 1)), c.weight(values({48, 32}, dtype, 2)),
                        c.constant(label_T), c.constant(mask_T));
      c.differentiate(losses.sum);
      c.results.push_back(losses.loss_T);
    });
    expect_attention_like_cpu(device, dtype);
  }
}

void expect_experts_like_cpu(at::Device device) {
  for (const auto dtype : kDtypes) {
    expect_experts_like_cpu(device, dtype, some_choices());
    expect_experts_like_cpu(device, dtype, at::full({9, 2}, -1, at::kLong));
  }
}

void expect_updates_like_cpu(at::Device device) {
  for (const auto& [in_halves, moments] :
       {std::pair{false, at::kFloat}, std::pair{true, at::kFloat}, std::pair{true, at::kBFloat16}}) {
    // A moment may be rounded either way, too: by 2^-8 of itself.
    expect_like_cpu(device, "AdamW", moments == at::kFloat ? 1e-6 : 1e-3, [&](Case& c) {
      const auto dtype = in_halves ? at::kBFloat16 : at::kFloat;
      const auto parameter = c.constant(values({77}, at::kFloat, 1).to(dtype)).clone(),
                 m = c.constant(at::zeros({77}, moments)).clone(), v = c.constant(at::zeros({77}, moments)).clone();
      const auto remainder = in_halves ? c.constant(at::zeros({77}, at::kShort)).clone() : at::Tensor();
      for (int64_t update = 1; update <= 3; ++update) {
        const AdamWStep step{.lr = 0.01, .weight_decay = 0.1, .gradient_scale = 0.5, .update = update};
        const auto gradient = c.constant(values({77}, at::kFloat, static_cast<double>(update)));
        adamw_update(step, {parameter, remainder, m, v, gradient});
      }
      const auto master = in_halves ? join_master(parameter, remainder) : parameter;
      c.results = {master, m, v};
      // A rounding may fall either way.
      if (in_halves) c.results.push_back((parameter.to(at::kFloat) - master).abs().lt(0.01));
    });
  }
}

namespace {

struct Verbs {
  std::function<void(at::Tensor&, Reduction)> all_reduce;
  std::function<void(const at::Tensor&, at::Tensor&)> all_gather, reduce_scatter_sum;
  std::function<void(const at::Tensor&, std::span<const int64_t>, at::Tensor&, std::span<const int64_t>)>
      rows;
  std::function<void(at::Tensor&, int)> broadcast;
};

Verbs verbs_of(Communicator& group) {
  return {[&](at::Tensor& tensor, Reduction reduction) {
            reduction == Reduction::kSum ? group.all_reduce_sum(tensor) : group.all_reduce_max(tensor);
          },
          [&](const at::Tensor& mine, at::Tensor& all) { group.all_gather(mine, all); },
          [&](const at::Tensor& all, at::Tensor& mine) { group.reduce_scatter_sum(all, mine); },
          [&](const at::Tensor& sent, std::span<const int64_t> send, at::Tensor& received,
              std::span<const int64_t> receive) { group.all_to_all_rows(sent, send, received, receive); },
          [&](at::Tensor& tensor, int root) { group.broadcast(tensor, root); }};
}

Verbs verbs_of(DeviceTransport& transport) {
  return {[&](at::Tensor& tensor, Reduction reduction) { transport.all_reduce(tensor, reduction); },
          [&](const at::Tensor& mine, at::Tensor& all) { transport.all_gather(mine, all); },
          [&](const at::Tensor& all, at::Tensor& mine) { transport.reduce_scatter_sum(all, mine); },
          [&](const at::Tensor& sent, std::span<const int64_t> send, at::Tensor& received,
              std::span<const int64_t> receive) { transport.all_to_all_rows(sent, send, received, receive); },
          [&](at::Tensor& tensor, int root) { transport.broadcast(tensor, root); }};
}

// Rows that rank `from` has for rank `to`: ragged, some none.
int64_t rows_between(int from, int to) {
  return (from * 5 + to * 3) % 4;
}

// Everything the verbs make of tensors on `device`, back on the host.
std::vector<at::Tensor> results_of(const Verbs& verbs, const Communicator& group, at::Device device) {
  std::vector<at::Tensor> results;
  const int rank = group.rank(), size = group.size();
  const auto mine_of = [&](int64_t n, at::ScalarType dtype) {
    return contribution(rank, n, dtype).to(device);
  };
  for (const auto dtype : {at::kFloat, at::kDouble, at::kLong}) {
    for (const int64_t n : {1, 1009}) {
      auto sum = mine_of(n, dtype), largest = mine_of(n, dtype);
      verbs.all_reduce(sum, Reduction::kSum);
      verbs.all_reduce(largest, Reduction::kMax);
      const auto all = mine_of(n * size, dtype);
      auto slice = all.narrow(0, n * rank, n), apart = at::zeros_like(slice);
      verbs.reduce_scatter_sum(all, apart);
      verbs.reduce_scatter_sum(all, slice);
      results.insert(results.end(), {sum, largest, apart, slice.clone()});
    }
  }
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kLong, at::kBool}) {
    auto all = at::zeros({size * 37}, at::TensorOptions(device).dtype(dtype));
    const auto own = mine_of(37, dtype == at::kBool ? at::kLong : dtype).to(dtype);
    verbs.all_gather(own, all);
    auto in_place = at::zeros_like(all);
    const auto place = in_place.narrow(0, rank * 37, 37);
    place.copy_(own);
    verbs.all_gather(place, in_place);
    results.insert(results.end(), {all, in_place});
  }
  std::vector<int64_t> send, receive;
  int64_t num_sent = 0, num_received = 0;
  for (int r = 0; r < size; ++r) {
    num_sent += send.emplace_back(rows_between(rank, r));
    num_received += receive.emplace_back(rows_between(r, rank));
  }
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto received = at::zeros({num_received, 6}, at::TensorOptions(device).dtype(dtype));
    verbs.rows(mine_of(num_sent * 6, dtype).view({num_sent, 6}), send, received, receive);
    results.push_back(received);
  }
  for (int root = 0; root < size; ++root) {
    auto told = mine_of(11, at::kFloat);
    verbs.broadcast(told, root);
    results.push_back(told);
  }
  for (auto& result : results) result = result.to(at::kCPU);
  return results;
}

void expect_results(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected,
                    double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    SCOPED_TRACE(join_text("result ", i));
    if (tolerance > 0 && expected[i].is_floating_point()) {
      EXPECT_LE(max_relative_difference(actual[i], expected[i]), tolerance);
    } else {
      EXPECT_TRUE(actual[i].equal(expected[i]));
    }
  }
}

}  // namespace

void expect_verbs_like_host(Communicator& group, at::Device device, double sum_tolerance) {
  const auto verbs = verbs_of(group);
  expect_results(results_of(verbs, group, device), results_of(verbs, group, at::kCPU), sum_tolerance);
  if (group.size() == 1) return;
  // The case of one row for each rank, and gradients.
  const auto sent = contribution(group.rank(), group.size() * 3, at::kLong).view({group.size(), 3});
  auto received = at::zeros_like(sent), on_device = at::zeros_like(sent).to(device);
  group.all_to_all(sent, received);
  group.all_to_all(sent.to(device), on_device);
  EXPECT_TRUE(on_device.to(at::kCPU).equal(received));
}

void expect_transport_like_host(DeviceTransport& transport, Communicator& group, at::Device device,
                                double sum_tolerance) {
  expect_results(results_of(verbs_of(transport), group, device), results_of(verbs_of(group), group, at::kCPU),
                 sum_tolerance);
}

}  // namespace granule
