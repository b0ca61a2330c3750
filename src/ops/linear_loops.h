#pragma once
// A linear map of many rows, y = x W^T, and its gradients.

#include "ops/matrix_loops.h"

namespace granule::GRANULE_ISA {

constexpr int64_t kLinearRows = 512;
/// Rows of the weight whose gradient is one piece of work.
constexpr int64_t kLinearBlock = 128;

template <class Element>
struct LinearBuffers {
  LinearBuffers(int64_t in, int64_t out, std::byte* buffer) : carver(buffer) {
    constexpr int64_t lane_rows = kLinearRows / kPerLane<Element>;
    x_panels = carver.template take<uint32_t>(divide_up(in, kPanel) * kPanel * lane_rows);
    grad_y_panels = carver.template take<uint32_t>(divide_up(out, kPanel) * kPanel * lane_rows);
  }

  Carver carver;
  uint32_t *x_panels, *grad_y_panels;  // rows of a chunk, for sums over them
};

template <class Element>
size_t linear_shared_bytes(int64_t in, int64_t out) {
  return LinearBuffers<Element>(in, out, nullptr).carver.used_since(nullptr);
}

template <class Element>
size_t linear_thread_bytes(int64_t in, int64_t out) {
  return static_cast<size_t>(larger(in, out) * kPanel * 4);
}

template <class Element>
void linear_forward(const LinearTask<Element>& task, const Team& team, std::byte*, std::byte* own) {
  auto* panel = reinterpret_cast<uint32_t*>(own);
  const int64_t panels = divide_up(task.out, kPanel), depth = task.in / kPerLane<Element>;
  const int64_t items = divide_up(task.rows, kLinearRows) * panels;
  for (int64_t item = team.begin(items); item < team.end(items); ++item) {
    const int64_t start = item / panels * kLinearRows, o = item % panels * kPanel;
    const int64_t columns = smaller(kPanel, task.out - o);
    for (int64_t first = 0; first < columns; first += 16) {
      pack_transposed(as_lanes(task.weight_OI + (o + first) * task.in), depth, depth, panel, first);
    }
    multiply_rows([&](int64_t r) { return task.x_RI + r * task.in; }, start,
                  smaller(task.rows, start + kLinearRows), panel, task.in, task.y_RO + o, task.out, columns,
                  Ahead());
  }
}

template <class Element>
inline void linear_backward_x(const LinearTask<Element>& task, const Team& team, uint32_t* panel) {
  const int64_t panels = divide_up(task.in, kPanel), items = divide_up(task.rows, kLinearRows) * panels;
  for (int64_t item = team.begin(items); item < team.end(items); ++item) {
    const int64_t start = item / panels * kLinearRows, i = item % panels * kPanel;
    const int64_t columns = smaller(kPanel, task.in - i);
    pack_rows<Element>([&](int64_t o) { return task.weight_OI + o * task.in + i; }, task.out, columns, panel);
    multiply_rows([&](int64_t r) { return task.grad_y_RO + r * task.out; }, start,
                  smaller(task.rows, start + kLinearRows), panel, task.out, task.grad_x_RI + i, task.in,
                  columns, Ahead());
  }
}

template <class Element>
inline void linear_backward_weight(const LinearTask<Element>& task, const Team& team, std::byte* shared) {
  constexpr int64_t panel_lanes = kLinearRows / kPerLane<Element> * kPanel;
  const LinearBuffers<Element> buffers(task.in, task.out, shared);
  const int64_t panels = divide_up(task.in, kPanel), blocks = divide_up(task.out, kLinearBlock);
  for (int64_t start = 0; start < task.rows; start += kLinearRows) {
    const int64_t rows = smaller(kLinearRows, task.rows - start);
    const auto pack = [&](const Element* matrix, int64_t width, uint32_t* panels_of_rows) {
      const int64_t count = divide_up(width, kPanel);
      for (int64_t p = team.begin(count); p < team.end(count); ++p) {
        pack_rows<Element>([&](int64_t r) { return matrix + (start + r) * width + p * kPanel; }, rows,
                           smaller(kPanel, width - p * kPanel), panels_of_rows + p * panel_lanes);
      }
    };
    pack(task.x_RI, task.in, buffers.x_panels);
    pack(task.grad_y_RO, task.out, buffers.grad_y_panels);
    const RowLanes grad_y{buffers.grad_y_panels, kPanel, panel_lanes};
    team.barrier();
    for (int64_t item = team.begin(panels * blocks); item < team.end(panels * blocks); ++item) {
      const int64_t i = item / blocks * kPanel, o = item % blocks * kLinearBlock;
      add_sum_over_rows<Element>(grad_y.from_column(o), buffers.x_panels + i / kPanel * panel_lanes,
                                 divide_up(rows, kPerLane<Element>), task.grad_weight_OI + o * task.in + i,
                                 task.in, smaller(kLinearBlock, task.out - o), smaller(kPanel, task.in - i));
    }
    team.barrier();
  }
}

template <class Element>
void linear_backward(const LinearTask<Element>& task, const Team& team, std::byte* shared, std::byte* own) {
  if (task.grad_x_RI != nullptr) linear_backward_x(task, team, reinterpret_cast<uint32_t*>(own));
  if (task.grad_weight_OI != nullptr) linear_backward_weight(task, team, shared);
}

}  // namespace granule::GRANULE_ISA
