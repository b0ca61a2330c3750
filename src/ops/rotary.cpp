#include "ops/rotary.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/element_types.h"
#include "ops/kernels.h"

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The same by operators, for any device.
at::Tensor turn_by_operators(const at::Tensor& x_BSHd, const at::Tensor& position_BS,
                             const at::Tensor& cos_Pd, const at::Tensor& sin_Pd, int direction) {
  const auto [B, S, H, head_dim] = get_shape<4>(x_BSHd);
  const auto sum_dtype = x_BSHd.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto at_positions = [&, B = B, S = S](const at::Tensor& table_Pd) {
    return table_Pd.index_select(0, position_BS.flatten()).view({B, S, 1, -1}).to(sum_dtype);
  };
  const auto cos = at_positions(cos_Pd), sin = at_positions(sin_Pd) * direction;
  const auto halves = x_BSHd.to(sum_dtype).chunk(2, 3);
  const auto &low = halves[0], &high = halves[1];
  return at::cat({low * cos - high * sin, high * cos + low * sin}, 3).to(x_BSHd.scalar_type());
}

// `direction` +1 turns forward, -1 turns back, which is also how the gradient turns.
at::Tensor turn(const at::Tensor& x, const at::Tensor& position_BS, const at::Tensor& cos_Pd,
                const at::Tensor& sin_Pd, int direction) {
  if (!x.is_cpu()) return turn_by_operators(x, position_BS, cos_Pd, sin_Pd, direction);
  const auto x_BSHd = x.contiguous();
  const auto [B, S, H, head_dim] = get_shape<4>(x_BSHd);
  const int64_t half = head_dim / 2;
  auto y_BSHd = at::empty_like(x_BSHd);
  const auto* position = position_BS.const_data_ptr<int64_t>();
  const auto* cos_table = cos_Pd.const_data_ptr<float>();
  const auto* sin_table = sin_Pd.const_data_ptr<float>();
  const bool by_kernels = with_kernel_element(x_BSHd, half, [&, H = H]<class Element>(Element) {
    const RotaryTask<Element> task{.H = H,
                                   .half = half,
                                   .cos_Pd = cos_table,
                                   .sin_Pd = sin_table,
                                   .position_T = position,
                                   .direction = static_cast<float>(direction),
                                   .x_THd = elements<Element>(x_BSHd),
                                   .y_THd = elements<Element>(y_BSHd)};
    at::parallel_for(0, B * S, 16,
                     [&](int64_t begin, int64_t end) { kernels<Element>().turn_heads(task, begin, end); });
  });
  if (by_kernels) return y_BSHd;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x_BSHd.scalar_type(), "apply_rotary", [&] {
    using Sum = at::opmath_type<scalar_t>;
    const auto* source = x_BSHd.const_data_ptr<scalar_t>();
    auto* target = y_BSHd.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, B * S, 16, [&, H = H](int64_t begin, int64_t end) {
      for (int64_t head = begin * H; head < end * H; ++head) {
        const auto* cos = cos_table + position[head / H] * half;
        const auto* sin = sin_table + position[head / H] * half;
        const auto* low = source + head * 2 * half;
        auto* out = target + head * 2 * half;
        for (int64_t i = 0; i < half; ++i) {
          const auto a = static_cast<Sum>(low[i]), b = static_cast<Sum>(low[half + i]);
          const auto c = static_cast<Sum>(cos[i]), s = static_cast<Sum>(sin[i]) * static_cast<Sum>(direction);
          out[i] = static_cast<scalar_t>(a * c - b * s);
          out[half + i] = static_cast<scalar_t>(b * c + a * s);
        }
      }
    });
  });
  return y_BSHd;
}

struct ApplyRotary : torch::autograd::Function<ApplyRotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_BSHd, const at::Tensor& position_BS,
                            const at::Tensor& cos_Pd, const at::Tensor& sin_Pd) {
    RECORD_USER_SCOPE("rotary");
    context->save_for_backward({position_BS, cos_Pd, sin_Pd});
    return turn(x_BSHd, position_BS, cos_Pd, sin_Pd, 1);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    RECORD_USER_SCOPE("rotary backward");
    const auto saved = context->get_saved_variables();
    return {turn(gradients[0], saved[0], saved[1], saved[2], -1), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RotaryTable make_rotary_table(int64_t max_position, int64_t head_dim, double theta) {
  CHECK(head_dim % 2 == 0, "head_dim = ", head_dim);
  const int64_t half = head_dim / 2;
  RotaryTable table{at::empty({max_position, half}, at::kFloat), at::empty({max_position, half}, at::kFloat)};
  auto* cos = table.cos_Pd.mutable_data_ptr<float>();
  auto* sin = table.sin_Pd.mutable_data_ptr<float>();
  for (int64_t i = 0; i < half; ++i) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    for (int64_t p = 0; p < max_position; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      cos[p * half + i] = static_cast<float>(std::cos(angle));
      sin[p * half + i] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

const RotaryTable& GrowingRotaryTable::up_to(int64_t end_position, at::Device device) {
  const int64_t size = table_.cos_Pd.defined() ? table_.cos_Pd.size(0) : 0;
  if (end_position > size) {
    const auto table = make_rotary_table(std::max(end_position, 2 * size), head_dim_, theta_);
    table_ = {table.cos_Pd.to(device), table.sin_Pd.to(device)};
  }
  return table_;
}

at::Tensor apply_rotary(const at::Tensor& x_BSHd, const at::Tensor& position_BS, const RotaryTable& table) {
  CHECK(x_BSHd.size(3) == 2 * table.cos_Pd.size(1), "head_dim ", x_BSHd.size(3), ", table of ",
        2 * table.cos_Pd.size(1));
  CHECK(position_BS.size(0) == x_BSHd.size(0) && position_BS.size(1) == x_BSHd.size(1),
        "positions of other shape");
  const auto position_contiguous_BS = position_BS.contiguous();
  // Positions on a device are not looked at: that would wait for it.
  const int64_t num_seen = position_BS.is_cpu() ? position_contiguous_BS.numel() : 0;
  const auto* position = num_seen > 0 ? position_contiguous_BS.const_data_ptr<int64_t>() : nullptr;
  for (int64_t i = 0; i < num_seen; ++i) {
    CHECK(position[i] >= 0 && position[i] < table.cos_Pd.size(0), "position ", position[i], ", table of ",
          table.cos_Pd.size(0));
  }
  return ApplyRotary::apply(x_BSHd, position_contiguous_BS, table.cos_Pd, table.sin_Pd);
}

}  // namespace granule
