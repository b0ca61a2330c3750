#include "model/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace granule {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// What the second run needs beside tensors; held by the graph node.
struct BlockCall : torch::CustomClassHolder {
  BlockCall(const Block& called, const ForwardContext& called_context)
      : block(called), context(called_context) {
    // Noted in the first run, for callers who may be gone by the second.
    context.statistics = nullptr;
    context.routings = nullptr;
  }
  const Block& block;
  ForwardContext context;
};

class RecomputedBlock : public torch::autograd::Function<RecomputedBlock> {
 public:
  // Returns {y_TD, balance_loss or an empty tensor}; the decision, needing no gradient, leaves through
  // `decision`.
  static variable_list forward(AutogradContext* ctx, const Variable& x_TD, const Block* block,
                               const ForwardContext* context, RoutingDecision* decision) {
    const auto output = block->forward(x_TD, *context, {});
    *decision = output.decision;
    ctx->save_for_backward({x_TD, decision->chosen_TK, decision->count_sC});
    ctx->saved_data["call"] = c10::IValue::make_capsule(c10::make_intrusive<BlockCall>(*block, *context));
    return {output.y_TD,
            output.balance_loss.defined() ? output.balance_loss : at::empty({0}, x_TD.options())};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto call = c10::static_intrusive_pointer_cast<BlockCall>(ctx->saved_data["call"].toCapsule());
    const at::AutoGradMode with_grad(true);
    const auto x_TD = saved[0].detach().requires_grad_();
    const auto output = call->block.forward(x_TD, call->context, {saved[1], saved[2]});
    variable_list roots{output.y_TD}, root_gradients{gradients[0]};
    if (output.balance_loss.defined()) {
      roots.push_back(output.balance_loss);
      root_gradients.push_back(gradients[1]);
    }
    torch::autograd::backward(roots, root_gradients);
    return {x_TD.grad(), Variable(), Variable(), Variable()};
  }
};

}  // namespace

MoeOutput recomputed_forward(const Block& block, const at::Tensor& x_TD, const ForwardContext& context) {
  RoutingDecision decision;
  // Autograd knows the block by its input alone, which needs no gradient behind a frozen embedding.
  const auto input_TD = x_TD.requires_grad() ? x_TD : x_TD.detach().requires_grad_();
  const auto results = RecomputedBlock::apply(input_TD, &block, &context, &decision);
  return {results[0], results[1].numel() > 0 ? results[1] : at::Tensor(), decision};
}

}  // namespace granule
