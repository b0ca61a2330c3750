#pragma once
// Where the values of tensors in host memory lie.

namespace granule {

/// From here on tensors come from malloc, and are aligned within what it gives. LibTorch asks glibc for
/// aligned memory instead, which wants more room of a freed block than it leaves of one: blocks of the same
/// size would not be used again, and holes between what is kept add up (a tenth of a step's memory).
void use_host_allocator();

}  // namespace granule
