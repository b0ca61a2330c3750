#pragma once
// What a device must do as the CPU does it, for any device: a pretended one here, a GPU where there is one.
// Each compares the device's results and gradients with those of the CPU's kernels on the same numbers.

#include <c10/core/Device.h>

#include "comm/communicator.h"

namespace granule {

/// Routing: the K best with ties and NaN, orders of rows with dropped slots, gathering, combining.
void expect_routing_like_cpu(at::Device device);
/// RMSNorm, rotary positions, linear maps, attention with and without segments, cross-entropy; fp32 and bf16.
void expect_layers_like_cpu(at::Device device);
/// Experts, some without rows, all without rows; fp32 and bf16.
void expect_experts_like_cpu(at::Device device);
/// AdamW with and without a bf16 copy.
void expect_updates_like_cpu(at::Device device);

/// Every verb of `group` on tensors of `device` against the same verb on host tensors; `sum_tolerance` 0: to
/// the bit.
void expect_verbs_like_host(Communicator& group, at::Device device, double sum_tolerance);
/// The same of `transport` itself, which may be that of a group of one.
void expect_transport_like_host(DeviceTransport& transport, Communicator& group, at::Device device,
                                double sum_tolerance);

}  // namespace granule
