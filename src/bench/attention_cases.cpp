#include "bench/attention_cases.h"

#include <ATen/ATen.h>

#include <functional>
#include <memory>

#include "base/check.h"
#include "bench/machine_limits.h"
#include "ops/attention.h"

namespace granule {

namespace {

struct AttentionInputs {
  at::Tensor q_BSHd, k_BSGd, v_BSGd, grad_BSHd, segment_BS;
};

using Attention = std::function<at::Tensor(const AttentionInputs&)>;

at::Tensor own(const AttentionInputs& in) {
  return causal_attention(in.q_BSHd, in.k_BSGd, in.v_BSGd, in.segment_BS);
}

at::Tensor libtorch(const AttentionInputs& in) {
  const auto y_BHSd = at::scaled_dot_product_attention(
      in.q_BSHd.transpose(1, 2), in.k_BSGd.transpose(1, 2), in.v_BSGd.transpose(1, 2), {}, 0.0,
      /*is_causal=*/true, std::nullopt, /*enable_gqa=*/in.q_BSHd.size(2) != in.k_BSGd.size(2));
  return y_BHSd.transpose(1, 2);
}

AttentionInputs make_inputs(const AttentionShape& shape) {
  const auto options = at::TensorOptions(shape.bf16 ? at::kBFloat16 : at::kFloat);
  auto generator = at::globalContext().defaultGenerator(at::kCPU).clone();
  generator.set_current_seed(1234);
  const auto random = [&](int64_t heads) {
    return at::randn({shape.batch, shape.length, heads, shape.head_dim}, generator,
                     at::TensorOptions(at::kFloat))
        .to(options);
  };
  AttentionInputs inputs{random(shape.heads).requires_grad_(),
                         random(shape.kv_heads).requires_grad_(),
                         random(shape.kv_heads).requires_grad_(),
                         random(shape.heads),
                         {}};
  if (shape.documents > 1) {
    inputs.segment_BS = (at::arange(shape.length, at::kLong) * shape.documents)
                            .floor_divide(shape.length)
                            .expand({shape.batch, shape.length})
                            .contiguous();
  }
  return inputs;
}

void add_cases(std::vector<TimedCase>& cases, const std::string& name,
               const std::shared_ptr<AttentionInputs>& inputs, const Attention& attention,
               double forward_flops, double limit) {
  cases.push_back({.name = name + "/forward",
                   .run = [=] { return seconds_of([&] { attention(*inputs); }); },
                   .flops = forward_flops,
                   .flops_limit = limit});
  cases.push_back({.name = name + "/backward",
                   .run =
                       [=] {
                         for (auto* input : {&inputs->q_BSHd, &inputs->k_BSGd, &inputs->v_BSGd})
                           input->mutable_grad().reset();
                         const auto y = attention(*inputs);
                         return seconds_of([&] { y.backward(inputs->grad_BSHd); });
                       },
                   .flops = 2 * forward_flops,
                   .flops_limit = limit});
}

}  // namespace

std::vector<TimedCase> attention_cases(const AttentionShape& shape) {
  if (shape.heads % shape.kv_heads != 0) {
    throw ConfigError("--kv-heads", std::to_string(shape.kv_heads),
                      join_text("must divide the ", shape.heads, " query heads"));
  }
  const auto inputs = std::make_shared<AttentionInputs>(make_inputs(shape));
  const auto limits = measure_machine_limits();
  const double limit = shape.bf16 ? limits.bf16_flops : limits.fp32_flops;
  // Scores and their product with the values, half of each square, each document on its own.
  const double flops = 2.0 * static_cast<double>(shape.batch * shape.heads * shape.head_dim * shape.length) *
                       static_cast<double>(shape.length) / static_cast<double>(shape.documents);
  std::vector<TimedCase> cases;
  add_cases(cases, "granule", inputs, own, flops, limit);
  if (shape.documents == 1) add_cases(cases, "LibTorch", inputs, libtorch, flops, limit);
  return cases;
}

}  // namespace granule
