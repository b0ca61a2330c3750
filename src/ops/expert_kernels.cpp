#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <omp.h>

#include <algorithm>
#include <atomic>

#include "ops/element_types.h"
#include "ops/expert_groups.h"
#include "ops/kernels.h"
#include "ops/scratch.h"

namespace granule {

namespace {

// Columns of gate and of up in one block of what forward keeps.
constexpr int64_t kBlockColumns = 16;

template <class Element>
ExpertTask<Element> task_of_group(const ExpertInputs& inputs, size_t e, const at::Tensor& gate_up) {
  const int64_t F = inputs.gate_eFD.size(1), D = inputs.gate_eFD.size(2);
  const int64_t begin = e == 0 ? 0 : inputs.end_G[e - 1];
  const int64_t weight = static_cast<int64_t>(e) * F * D;
  return {.D = D,
          .F = F,
          .rows = inputs.end_G[e] - begin,
          .x_TD = elements<Element>(inputs.x_TD),
          .source = inputs.source_N.const_data_ptr<int64_t>() + begin,
          .scale = inputs.scale_N.const_data_ptr<float>() + begin,
          .gate_FD = elements<Element>(inputs.gate_eFD) + weight,
          .up_FD = elements<Element>(inputs.up_eFD) + weight,
          .down_DF = elements<Element>(inputs.down_eDF) + weight,
          .gate_up = elements<Element>(gate_up) + begin * 2 * kBlockColumns,
          .gate_up_stride = inputs.source_N.size(0) * 2 * kBlockColumns};
}

// Groups so large that all threads must share them come first, one after the other; then every thread takes
// the largest group that is left. No sum depends on which thread made it.
template <class Element, class Run>
void run_tasks(std::vector<ExpertTask<Element>> tasks, const Run& run) {
  std::erase_if(tasks, [](const auto& task) { return task.rows == 0; });
  if (tasks.empty()) return;
  std::stable_sort(tasks.begin(), tasks.end(), [](const auto& a, const auto& b) { return a.rows > b.rows; });
  int64_t rows = 0;
  for (const auto& task : tasks) rows += task.rows;
  const int threads = at::get_num_threads();
  const auto shared_end = std::find_if(tasks.begin(), tasks.end(), [&](const auto& task) {
    return threads == 1 || task.rows * threads <= rows;
  });
  const auto num_shared = static_cast<size_t>(shared_end - tasks.begin());

  const auto shared_bytes = round_to_line(kernels<Element>().expert_shared_bytes(tasks[0].D, tasks[0].F));
  const auto own_bytes = round_to_line(kernels<Element>().expert_thread_bytes(tasks[0].D, tasks[0].F));
  std::byte* scratch = thread_scratch((shared_bytes + own_bytes) * static_cast<size_t>(threads));
  std::atomic<size_t> next = num_shared;
#pragma omp parallel num_threads(threads)
  {
    const int64_t thread = omp_get_thread_num();
    std::byte* chunk = scratch + static_cast<size_t>(thread) * (shared_bytes + own_bytes);
    std::byte* own = chunk + shared_bytes;
    for (size_t i = 0; i < num_shared; ++i) run(tasks[i], Team(thread, omp_get_num_threads()), scratch, own);
    for (size_t i = next++; i < tasks.size(); i = next++) run(tasks[i], Team(), chunk, own);
  }
}

template <class Element>
ExpertOutputs forward(const ExpertInputs& inputs) {
  const int64_t N = inputs.source_N.size(0), F = inputs.gate_eFD.size(1), D = inputs.gate_eFD.size(2);
  const int64_t blocks = (F + kBlockColumns - 1) / kBlockColumns;
  const auto gate_up = at::empty({blocks, N, 2 * kBlockColumns}, inputs.x_TD.options());
  const auto y_ND = at::empty({N, D}, inputs.x_TD.options());
  std::vector<ExpertTask<Element>> tasks;
  for (size_t e = 0; e < inputs.end_G.size(); ++e) {
    auto task = task_of_group<Element>(inputs, e, gate_up);
    task.y_RD = elements<Element>(y_ND) + (e == 0 ? 0 : inputs.end_G[e - 1]) * D;
    tasks.push_back(task);
  }
  run_tasks(std::move(tasks), kernels<Element>().expert_forward);
  return {gate_up, y_ND};
}

template <class Element>
void backward(const ExpertInputs& inputs, const at::Tensor& gate_up, const at::Tensor& grad_y_TD,
              ExpertGradients& gradients) {
  const int64_t F = inputs.gate_eFD.size(1), D = inputs.gate_eFD.size(2);
  std::vector<ExpertTask<Element>> tasks;
  for (size_t e = 0; e < inputs.end_G.size(); ++e) {
    auto task = task_of_group<Element>(inputs, e, gate_up);
    const int64_t begin = e == 0 ? 0 : inputs.end_G[e - 1], weight = static_cast<int64_t>(e) * F * D;
    const auto of_group = [&](at::Tensor& sum) {
      return sum.defined() ? sum.mutable_data_ptr<float>() + weight : nullptr;
    };
    task.grad_y_TD = elements<Element>(grad_y_TD);
    task.grad_x_RD = gradients.x_ND.defined() ? elements<Element>(gradients.x_ND) + begin * D : nullptr;
    task.grad_scale =
        gradients.scale_N.defined() ? gradients.scale_N.mutable_data_ptr<float>() + begin : nullptr;
    task.grad_gate_FD = of_group(gradients.gate_eFD);
    task.grad_up_FD = of_group(gradients.up_eFD);
    task.grad_down_DF = of_group(gradients.down_eDF);
    tasks.push_back(task);
  }
  run_tasks(std::move(tasks), kernels<Element>().expert_backward);
}

}  // namespace

bool kernels_fit(const ExpertInputs& inputs) {
  return kernels_take(inputs.x_TD, inputs.gate_eFD.size(2)) && inputs.gate_eFD.size(1) % 2 == 0 &&
         inputs.scale_N.scalar_type() == at::kFloat;
}

ExpertOutputs forward_by_kernels(const ExpertInputs& inputs) {
  ExpertOutputs outputs;
  with_element(inputs.x_TD.scalar_type(),
               [&]<class Element>(Element) { outputs = forward<Element>(inputs); });
  return outputs;
}

void backward_by_kernels(const ExpertInputs& inputs, const at::Tensor& gate_up, const at::Tensor& grad_y_TD,
                         ExpertGradients& gradients) {
  with_element(inputs.x_TD.scalar_type(),
               [&]<class Element>(Element) { backward<Element>(inputs, gate_up, grad_y_TD, gradients); });
}

}  // namespace granule
