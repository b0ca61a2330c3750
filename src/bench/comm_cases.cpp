#include "bench/comm_cases.h"

#include <ATen/ATen.h>

#include <cstring>
#include <memory>

#include "bench/moe_cases.h"
#include "comm/mpi_alltoallv.h"
#include "model/dispatcher.h"

namespace granule {

namespace {

constexpr uint64_t kSeed = 1234;

// What one layer sends: rows to the experts and back, with even loads.
struct Exchange {
  Exchange(World& world, const CommShape& shape)
      : dispatcher(world.all(), shape.n_routed_experts),
        dtype(shape.bf16 ? at::kBFloat16 : at::kFloat),
        x_TD(at::ones({shape.tokens, shape.hidden_size}, dtype)),
        gate_TK(at::ones({shape.tokens, shape.num_experts_per_tok}, at::kFloat)),
        expert_TK(choose_by_load(std::vector<double>(static_cast<size_t>(shape.n_routed_experts), 1.0),
                                 shape.tokens, shape.num_experts_per_tok,
                                 kSeed + static_cast<uint64_t>(world.rank()))),
        plan(dispatcher.plan(expert_TK)),
        y_RD(at::ones({plan.by_local_expert.num_rows(), shape.hidden_size}, dtype)),
        sent_ND(gather_rows(x_TD, plan.by_expert)),
        received_RD(at::empty_like(y_RD)) {}

  double sent_bytes() const { return static_cast<double>(sent_ND.nbytes()); }

  Dispatcher dispatcher;
  at::ScalarType dtype;
  at::Tensor x_TD, gate_TK, expert_TK;
  DispatchPlan plan;
  at::Tensor y_RD, sent_ND, received_RD;
};

void add_collectives(std::vector<TimedCase>& cases, World& world, int64_t elements) {
  auto& all = world.all();
  const int64_t slice = (elements + all.size() - 1) / all.size();
  const auto whole = at::ones({slice * all.size()}, at::kFloat);
  const auto part = at::ones({slice}, at::kFloat);
  const auto bytes = static_cast<double>(whole.nbytes());
  const auto add = [&](const char* name, double moved, std::function<void()> body) {
    cases.push_back({.name = name, .run = [body] { return seconds_of(body); }, .bytes = moved});
  };
  add("barrier", 0, [&all] { all.barrier(); });
  cases.push_back({.name = "all_reduce",
                   .run =
                       [&all, tensor = whole.clone()]() mutable {
                         tensor.fill_(1);  // sums of sums would grow beyond all numbers
                         return seconds_of([&] { all.all_reduce_sum(tensor); });
                       },
                   .bytes = bytes});
  add("reduce_scatter", bytes,
      [&all, whole, mine = part.clone()]() mutable { all.reduce_scatter_sum(whole, mine); });
  add("all_gather", bytes,
      [&all, part, gathered = whole.clone()]() mutable { all.all_gather(part, gathered); });
  add("broadcast", bytes, [&all, tensor = whole.clone()]() mutable { all.broadcast(tensor, 0); });
  add("all_to_all", bytes,
      [&all, rows = whole.view({all.size(), slice}), received = at::empty({all.size(), slice})]() mutable {
        all.all_to_all(rows, received);
      });
}

}  // namespace

std::vector<TimedCase> comm_cases(World& world, const CommShape& shape) {
  check_experts(shape.n_routed_experts, shape.num_experts_per_tok, world.size());
  std::vector<TimedCase> cases;
  add_collectives(cases, world, shape.elements);

  const auto exchange = std::make_shared<Exchange>(world, shape);
  auto& all = world.all();
  const auto add = [&](const char* name, std::function<void()> body) {
    cases.push_back(
        {.name = name, .run = [body] { return seconds_of(body); }, .bytes = exchange->sent_bytes()});
  };
  cases.push_back({.name = "plan of a layer", .run = [exchange] {
                     return seconds_of([&] { exchange->dispatcher.plan(exchange->expert_TK); });
                   }});
  add("dispatch", [exchange] { exchange->dispatcher.dispatch(exchange->x_TD, exchange->plan); });
  add("combine", [exchange] { exchange->dispatcher.combine(exchange->y_RD, exchange->plan); });
  cases.push_back({.name = "dispatch of gates",
                   .run =
                       [exchange] {
                         return seconds_of(
                             [&] { exchange->dispatcher.dispatch_gates(exchange->gate_TK, exchange->plan); });
                       },
                   .bytes = static_cast<double>(exchange->gate_TK.nbytes())});
  if (world.size() > 1) {
    add("all_to_all_rows", [exchange, &all] {
      all.all_to_all_rows(exchange->sent_ND, exchange->plan.send_rows, exchange->received_RD,
                          exchange->plan.receive_rows);
    });
    add("MPI_Alltoallv", [exchange] {
      mpi_alltoallv(exchange->sent_ND, exchange->plan.send_rows, exchange->received_RD,
                    exchange->plan.receive_rows);
    });
  }
  add("memcpy", [exchange, copy = at::empty_like(exchange->sent_ND)] {
    std::memcpy(copy.data_ptr(), exchange->sent_ND.const_data_ptr(), exchange->sent_ND.nbytes());
  });
  return cases;
}

}  // namespace granule
