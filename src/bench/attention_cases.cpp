#include "bench/attention_cases.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "bench/machine_limits.h"
#include "ops/attention.h"

namespace granule {

namespace {

struct AttentionInputs {
  at::Tensor q_BSHd, k_BSGd, v_BSGd, grad_BSHd, segment_BS;
};

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

}  // namespace

std::vector<TimedCase> attention_cases(const AttentionShape& shape) {
  if (shape.heads % shape.kv_heads != 0) {
    throw ConfigError("--kv-heads", std::to_string(shape.kv_heads),
                      join_text("must divide the ", shape.heads, " query heads"));
  }
  const auto inputs = make_inputs(shape);
  const double limit = measure_machine_limits().flops(shape.bf16);
  // Scores and their product with the values, half of each square, each document on its own.
  const double flops = 2.0 * static_cast<double>(shape.batch * shape.heads * shape.head_dim * shape.length) *
                       static_cast<double>(shape.length) / static_cast<double>(shape.documents);
  std::vector<TimedCase> cases;
  const auto add = [&](const char* name, auto attention) {
    add_differentiable_cases(
        cases, name, [=] { return attention(inputs); }, inputs.grad_BSHd,
        {inputs.q_BSHd, inputs.k_BSGd, inputs.v_BSGd}, flops, limit);
  };
  add("granule", own);
  if (shape.documents == 1) add("LibTorch", libtorch);
  return cases;
}

}  // namespace granule
